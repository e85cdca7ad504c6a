"""Two years of a computing centre, made up: clusters, people, finished and running jobs. The same at every run.

What the rows hold is what the projection makes of the events in ``bench.history.events``; a test compares the two.
"""
