"""jobstore: turns events into rows. It is the only writer of the job tables.

- ``projection`` is the loop over one stream: it reads from the stored position and commits rows and position together.
- ``appliers`` has one applier per stream: ``events``, ``nodes`` and ``rejections`` write one batch in the loop's transaction.
- ``store`` loads the jobs that a batch of EVENTS touches, and writes the changes; ``rules`` decide in between, without I/O.
- ``rebuild`` uses the same appliers on a second set of tables, which it computes from the log.
"""
