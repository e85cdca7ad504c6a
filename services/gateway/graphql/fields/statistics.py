"""Statistics over all matching jobs, or per group."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from services.gateway.errors import bad_request
from services.gateway.graphql.arguments import job_filters, slice_of
from services.gateway.graphql.fields.people import names_of
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Tables
from services.gateway.reading.model import JobFilter, Slice
from services.gateway.reading.source import FOOTPRINT_KEY
from services.gateway.reading.statistics import ALL, DurationBins, GroupBy, MetricHistogram, StatisticsGroup, StatisticsQuery
from services.gateway.reading.totals import Measures, Peaks
from shared.domain.clusters import Cluster, Metric

# Field of JobsStatistics -> name of the total in queries.
TOTALS = {
    "totalUsers": "total_users",
    "totalJobs": "total_jobs",
    "runningJobs": "running_jobs",
    "shortJobs": "short_jobs",
    "totalWalltime": "total_walltime",
    "totalNodes": "total_nodes",
    "totalNodeHours": "total_node_hours",
    "totalCores": "total_cores",
    "totalCoreHours": "total_core_hours",
    "totalAccs": "total_accs",
    "totalAccHours": "total_acc_hours",
    "totalProjects": "total_projects",
    "failedJobs": "failed_jobs",
    "waitedJobs": "waited_jobs",
    "totalEnergy": "total_energy",
    "totalWaitTime": "total_wait_time",
    "totalFailedCoreHours": "total_failed_core_hours",
    "totalMeasuredCoreHours": "total_measured_core_hours",
    "totalIdleCoreHours": "total_idle_core_hours",
    "totalMeasuredAccHours": "total_measured_acc_hours",
    "totalIdleAccHours": "total_idle_acc_hours",
}
RESOURCES = {"histNumNodes": "num_nodes", "histNumCores": "num_hwthreads", "histNumAccs": "num_acc"}


@dataclass(frozen=True, slots=True)
class AskedMetric:
    """``stat`` is empty for a metric without a footprint."""

    histogram: MetricHistogram
    unit: str
    stat: str


@dataclass(frozen=True, slots=True)
class StatisticsView:
    group: StatisticsGroup
    name: str
    bins: DurationBins | None
    metrics: Sequence[AskedMetric]


SORT = {name.upper(): total for name, total in TOTALS.items()}
_BINS = {
    "1m": DurationBins(60, 60),
    "10m": DurationBins(72, 600),
    "1h": DurationBins(48, 3600),
    "6h": DurationBins(12, 6 * 3600),
    "12h": DurationBins(14, 12 * 3600),
    "24h": DurationBins(14, 24 * 3600),
}
_OTHER_BINS = DurationBins(24, 3600)
DEFAULT_METRIC_BINS = 10
MAX_METRIC_BINS = 1000
MAX_METRICS = 100
LOAD, ACC_LOAD = "cpu_load", "acc_utilization"  # the metrics that say which part of the cores and accelerators is busy
NEED_PEAKS = frozenset({"total_measured_core_hours", "total_idle_core_hours", "total_measured_acc_hours", "total_idle_acc_hours"})
MAX_PEAKS = 500  # subclusters whose peaks are part of a statement


@answers(QUERY, "jobsStatistics")
async def jobs_statistics(ask: Ask) -> list[StatisticsView]:
    """One element per group, or a single one without ``groupBy``. Histograms are per element."""
    assert ask.shape is not None
    names = ask.shape.names
    now = ask.gateway.clock()
    where = job_filters(ask["filter"], now)
    group_by = GROUPS[ask["groupBy"]] if ask["groupBy"] else None
    bins = _BINS.get("1h" if ask["numDurationBins"] is None else ask["numDurationBins"], _OTHER_BINS) if "histDuration" in names else None
    metrics = _metrics(ask, where) if "histMetrics" in names else []
    totals = frozenset(TOTALS[name] for name in names & TOTALS.keys())
    sort_by = SORT[ask["sortBy"]] if ask["sortBy"] and group_by else None
    wanted = StatisticsQuery(
        totals=totals,
        group_by=group_by,
        sort_by=sort_by,
        slice=_slice(ask) if group_by else ALL,
        duration=bins,
        resources=frozenset(RESOURCES[name] for name in names & RESOURCES.keys()),
        metrics=tuple(asked.histogram for asked in metrics),
        measures=measures(ask, *totals, sort_by),
    )
    if wanted.slice.limit == 0:
        return []
    groups = await ask.gateway.jobs.statistics(ask.user, where, wanted, int(now))
    people = await names_of(ask.request, [group.key for group in groups]) if group_by == "user" and "name" in names else {}
    return [StatisticsView(group, people.get(group.key, ""), bins, metrics) for group in groups]


def measures(ask: Ask, *totals: str | None) -> Measures:
    """The clusters are read only for totals that need their peaks, since they are unknown before the broker was reached."""
    short_job_s = ask.request.settings.short_job_s
    if NEED_PEAKS.isdisjoint(totals):
        return Measures(short_job_s)
    clusters = ask.gateway.link.clusters
    return Measures(short_job_s, peaks(clusters, LOAD), peaks(clusters, ACC_LOAD))


def peaks(clusters: Mapping[str, Cluster], name: str) -> Peaks:
    """A metric's peaks where its footprint is an average."""
    of_subclusters = [
        (cluster.name, sub.name, found.peak)
        for cluster in clusters.values()
        for metric in cluster.metric_config
        if metric.name == name
        for sub in cluster.sub_clusters
        if (found := metric.on(sub.name)) is not None and found.footprint == "avg" and found.peak > 0
    ]
    return Peaks(f"{name}_avg", tuple(sorted(of_subclusters)[:MAX_PEAKS]))


def _slice(ask: Ask) -> Slice:
    """All groups by default, none if itemsPerPage is 0."""
    page = ask["page"]
    if page is None:
        return ALL
    return Slice(0) if page["itemsPerPage"] == 0 else slice_of(page)


def _metrics(ask: Ask, where: Sequence[JobFilter]) -> list[AskedMetric]:
    """Names that cannot be a metric are ignored."""
    given = ask["numMetricBins"]
    bins = DEFAULT_METRIC_BINS if given is None else given
    if not 1 <= bins <= MAX_METRIC_BINS:
        raise bad_request(f"numMetricBins: {bins} is not from 1 to {MAX_METRIC_BINS}")
    names = [name for name in ask["metrics"] or () if FOOTPRINT_KEY.fullmatch(name)]
    if len(names) > MAX_METRICS:
        raise bad_request(f"metrics: more than {MAX_METRICS}")
    clusters = ask.gateway.link.clusters
    return [_asked(name, definitions(clusters, where, name), bins) for name in names]


def definitions(clusters: Mapping[str, Cluster], where: Sequence[JobFilter], name: str) -> list[Metric]:
    """The metric's definitions on the filtered clusters. Without a filter or a peak there, those on all clusters."""
    chosen = [item.cluster.values[0] for item in where if item.cluster is not None and item.cluster.operator == "eq"]

    def of(names: Iterable[str]) -> list[Metric]:
        return [metric for cluster in names if cluster in clusters for metric in clusters[cluster].metric_config if metric.name == name]

    found = of(chosen)
    return found if any(metric.peak for metric in found) else found + of(sorted(clusters.keys() - set(chosen)))


def _asked(name: str, definitions: list[Metric], bins: int) -> AskedMetric:
    """Unit and statistic are the first ones found in ``definitions``."""
    peak = max((metric.peak for metric in definitions), default=0.0)
    unit = next((text for metric in definitions if (text := metric.unit.prefix + metric.unit.base)), "")
    stats = [metric.footprint for metric in definitions] + [o.footprint for metric in definitions for o in metric.sub_clusters]
    stat = next((found for found in stats if found), "")
    return AskedMetric(MetricHistogram(name, f"{name}_{stat}", peak, bins), unit, stat)


# getters of the types' fields


def _total(name: str) -> Callable[[StatisticsView], float]:
    return lambda view: view.group.totals[name]


def _resource(name: str) -> Callable[[StatisticsView], Sequence[tuple[int, int]]]:
    return lambda view: view.group.resources[name]


def _durations(view: StatisticsView) -> list[tuple[int, int]]:
    assert view.bins is not None
    return [((number + 1) * view.bins.width_s, jobs) for number, jobs in enumerate(view.group.duration)]


def _histograms(view: StatisticsView) -> list[tuple[AskedMetric, list[int]]]:
    return list(zip(view.metrics, view.group.metrics, strict=True))


def _bins(item: tuple[AskedMetric, list[int]]) -> list[tuple[int, int, float, float]]:
    asked, counts = item
    bounds = asked.histogram.bounds()
    return [(number, jobs, *ends) for number, (jobs, ends) in enumerate(zip(counts, bounds, strict=True), start=1)]


GROUPS: dict[str, GroupBy] = {
    "USER": "user",
    "PROJECT": "project",
    "CLUSTER": "cluster",
    "SUBCLUSTER": "subcluster",
    "PARTITION": "partition",
    "STATE": "state",
}


TABLES: Tables = {
    "JobsStatistics": {
        "id": attrgetter("group.key"),
        "name": attrgetter("name"),
        **{name: _total(total) for name, total in TOTALS.items()},
        **{name: _resource(column) for name, column in RESOURCES.items()},
        "histDuration": _durations,
        "histMetrics": _histograms,
    },
    "HistoPoint": {"value": itemgetter(0), "count": itemgetter(1)},
    "MetricHistoPoints": {
        "metric": lambda item: item[0].histogram.metric,
        "unit": lambda item: item[0].unit,
        "stat": lambda item: item[0].stat,
        "data": _bins,
    },
    "MetricHistoPoint": {
        "bin": itemgetter(0),
        "count": itemgetter(1),
        "min": lambda item: round(item[2]),
        "max": lambda item: round(item[3]),
        "from": itemgetter(2),
        "to": itemgetter(3),
    },
}
