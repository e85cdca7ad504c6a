"""The past of the simulated site: days of finished jobs with archive entries, jobs that still run, node states, recent samples.

It is created once, before the services of a new site start: jobs and node states as events, entries with the archive's writer, samples
as files of the metric store. Everything is derived from the seed and the time of the first start, so that the next start can complete an
interrupted history.
"""
