"""Metric data for readers: of jobs from the metric store or the archive, of nodes and clusters from the metric store."""
