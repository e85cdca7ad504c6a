"""Recorded GraphQL exchanges that the gateway answers differently on purpose. ``docs/compatibility.md`` describes them to users."""

import re

_METRICS = re.compile(
    r"metrics-|jms|footprints|roofline|nodes-metrics|nodes-list|nodes-cluster|feed-write|doc-scope-bad"
    r"|role-.*-(node-metrics|cluster-metrics|node-list|job-metrics)$"
)


def waits_for_metrics(name: str) -> bool:
    """Whether the exchange needs metric data."""
    return _METRICS.match(name) is not None


# Different statuses: queries by GET; an enum in the wrong case is an error in the request.
STATUS = {"transport-get": 200, "doc-variable-enum-case": 422}

# Successful, where the original answers with an error.
_ANSWERED = """
doc-introspection-schema doc-introspection-type doc-introspection-mixed clusters-metric-value-name
job-as-api-own-ulla job-as-api-chem
order-bad-numHWThreads order-bad-subCluster order-bad-user order-bad-partition order-bad-state
filter-tags-two-items filter-node-starts-with
stats-page-page-zero hist-grouped hist-metrics-grouped hist-metrics-unknown hist-metrics-cluster-contains
nodes-id nodes-node-id
mut-create-duplicate-other-scope mut-delete-tag mut-add-again mut-add-second-fails mut-add-no-archive mut-config-ghost
"""
# Refused, where the original accepts invalid input; the last one lacks the tag that was not created.
_REFUSED = "filter-start-time-range-unknown mut-create-empty-names mut-config-not-json mut-tags-after"
# The projects of a manager's token come from the database.
_MANAGER_TOKENS = "job-as-manager-token-chem role-manager-token-jobs role-manager-token-stats role-manager-token-grouped"
# Different jobs match: no wildcards, lists of names and hosts, jobs without a name, tags that the viewer may not see.
_FILTERS = """
filter-user-contains-% filter-user-contains-_ filter-project-contains-4 filter-job-name-neq-2 filter-job-name-in-6 filter-schedule-batch
filter-node-in-6 filter-tags-admin-by-user
"""
# Running jobs are filtered by the duration that is shown, not by 0 until a worker updates it.
_DURATIONS = "filter-duration-running"
# Different numbers: sums that were always 0, running jobs are not short, a job with two tags counts once, groups without totals.
_NUMBERS = """
page-page-zero order-foot-all
stats-ungrouped stats-everything stats-by-cluster-running stats-group-only-running stats-group-id-only stats-group-running
stats-only-running stats-short stats-tags
"""
# Edges of bins are rounded to the nearest integer; running jobs count by their footprint; bins of 24h are days.
_HISTOGRAMS = "hist-24h hist-metrics hist-metrics-many-bins hist-metrics-no-cluster hist-metrics-bad-name hist-metrics-running"

DIFFERENCES = (
    frozenset(f"{_ANSWERED} {_REFUSED} {_MANAGER_TOKENS} {_FILTERS} {_DURATIONS} {_NUMBERS} {_HISTOGRAMS}".split()) | STATUS.keys()
)
