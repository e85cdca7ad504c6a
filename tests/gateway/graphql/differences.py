"""Where the gateway answers recorded GraphQL exchanges otherwise, on purpose. ``docs/compatibility.md`` tells readers the same."""

import re

_METRICS = re.compile(
    r"metrics-|jms|footprints|roofline|nodes-metrics|nodes-list|nodes-cluster|feed-write|doc-scope-bad"
    r"|role-.*-(node-metrics|cluster-metrics|node-list|job-metrics)$"
)


def waits_for_metrics(name: str) -> bool:
    """Exchanges that need metric data."""
    return _METRICS.match(name) is not None


# Other statuses: queries by GET; a wrongly cased enum is a mistake in the request.
STATUS = {"transport-get": 200, "doc-variable-enum-case": 422}

# Done, where there was an error.
_ANSWERED = """
doc-introspection-schema doc-introspection-type doc-introspection-mixed clusters-metric-value-name
job-as-api-own-ulla job-as-api-chem
order-bad-numHWThreads order-bad-subCluster order-bad-user order-bad-partition order-bad-state
filter-tags-two-items filter-node-starts-with
stats-page-page-zero hist-grouped hist-metrics-grouped hist-metrics-unknown hist-metrics-cluster-contains
nodes-id nodes-node-id
mut-create-duplicate-other-scope mut-delete-tag mut-add-again mut-add-second-fails mut-add-no-archive mut-config-ghost
"""
# Refused, where something wrong was accepted; the last one lacks the tag that was not created.
_REFUSED = "filter-start-time-range-unknown mut-create-empty-names mut-config-not-json mut-tags-after"
# Projects of a manager's token are those of the database.
_MANAGER_TOKENS = "job-as-manager-token-chem role-manager-token-jobs role-manager-token-stats role-manager-token-grouped"
# Other jobs match: no wildcards, lists of names and hosts, jobs without a name are no exception, tags that one may not see.
_FILTERS = """
filter-user-contains-% filter-user-contains-_ filter-project-contains-4 filter-job-name-neq-2 filter-job-name-in-6 filter-schedule-batch
filter-node-in-6 filter-tags-admin-by-user
"""
# Running jobs have the duration that is shown, not 0 until a worker brings it up to date.
_DURATIONS = "filter-duration-running"
# Other numbers: sums that were always 0, running jobs are not short, a job with two tags counts once, groups without totals.
_NUMBERS = """
page-page-zero order-foot-all
stats-ungrouped stats-everything stats-by-cluster-running stats-group-only-running stats-group-id-only stats-group-running
stats-only-running stats-short stats-tags nodes-timed-health
"""
# Edges of bins are to the nearest whole number; running jobs by their footprint; 24h are bins of a day.
_HISTOGRAMS = "hist-24h hist-metrics hist-metrics-many-bins hist-metrics-no-cluster hist-metrics-bad-name hist-metrics-running"

DIFFERENCES = (
    frozenset(f"{_ANSWERED} {_REFUSED} {_MANAGER_TOKENS} {_FILTERS} {_DURATIONS} {_NUMBERS} {_HISTOGRAMS}".split()) | STATUS.keys()
)
