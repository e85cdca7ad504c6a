"""Metric data of jobs, from the metric store or the archive, and of nodes and clusters, from the metric store."""
