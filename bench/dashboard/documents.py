"""The documents as a dashboard sends them: always the same texts, with variables."""

_ROW = (
    "id jobId user project cluster subCluster startTime duration walltime numNodes numHWThreads numAcc energy SMT shared partition"
    " arrayJobId monitoringStatus state tags { id type name scope } resources { hostname hwthreads accelerators configuration }"
    " footprint { name stat value } energyFootprint { hardware metric value } metaData userData { username name email }"
)
_JOBS = "query list($filter: [JobFilter!], $page: PageRequest, $order: OrderByInput) { jobs(filter: $filter, page: $page, order: $order)"
LIST = f"{_JOBS} {{ hasNextPage items {{ {_ROW} }} }} }}"
LIST_AND_COUNT = f"{_JOBS} {{ count hasNextPage items {{ {_ROW} }} }} }}"

TOTALS = (
    "totalJobs",
    "totalUsers",
    "runningJobs",
    "shortJobs",
    "totalWalltime",
    "totalNodeHours",
    "totalCoreHours",
    "totalAccHours",
)
HISTOGRAMS = ("histDuration", "histNumNodes", "histNumCores", "histNumAccs")
_TOTALS = " ".join(TOTALS)
_HISTOGRAMS = " ".join(f"{name} {{ value count }}" for name in HISTOGRAMS)
STATISTICS = f"query statistics($filter: [JobFilter!]) {{ jobsStatistics(filter: $filter) {{ {_TOTALS} }} }}"
STATISTICS_AND_HISTOGRAMS = f"query statistics($filter: [JobFilter!]) {{ jobsStatistics(filter: $filter) {{ {_TOTALS} {_HISTOGRAMS} }} }}"

_GROUPS = (
    "query groups($filter: [JobFilter!], $by: Aggregate, $sort: SortByAggregate, $page: PageRequest)"
    " { jobsStatistics(filter: $filter, groupBy: $by, sortBy: $sort, page: $page) { id name"
)
GROUPS = f"{_GROUPS} {_TOTALS} }} }}"
GROUPS_AND_HISTOGRAMS = f"{_GROUPS} {_TOTALS} {_HISTOGRAMS} }} }}"

METRIC_HISTOGRAMS = (
    "query histograms($filter: [JobFilter!], $metrics: [String!], $bins: Int)"
    " { jobsStatistics(filter: $filter, metrics: $metrics, numMetricBins: $bins)"
    " { histMetrics { metric unit stat data { bin count min max } } } }"
)
JOB_METRICS = (
    "query metrics($id: ID!, $metrics: [String!], $scopes: [MetricScope!]) { jobMetrics(id: $id, metrics: $metrics, scopes: $scopes)"
    " { name scope metric { unit { base prefix } timestep series { hostname id statistics { avg min max } data } } } }"
)
BANDS = (
    "query bands($ids: [ID!]!, $metrics: [String!]) { jobsMetrics(ids: $ids, metrics: $metrics)"
    " { id metrics { name unit { base prefix } timestep min median max } } }"
)
NODES_NOW = (
    "query now($cluster: String!, $metrics: [String!]) { nodesNow(cluster: $cluster, metrics: $metrics)"
    " { host metrics { name value time } } }"
)
