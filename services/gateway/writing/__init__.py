"""Writes of the API: publish an event, and wait for the outcome that jobstore reports."""
