"""Compares the jobs of the site with the scheduler's accounting."""
