"""archiver: writes finished jobs to the file archive.

``dispatch`` takes events from the work queue, ``judge`` decides what each requires, ``pipeline`` and ``work`` load metric data and write
the entry. ``node_health`` and ``footprints`` ask the metric store about nodes and running jobs.
"""
