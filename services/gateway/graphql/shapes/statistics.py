"""Statistics over many jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from services.gateway.graphql.shape import Tables
from services.gateway.reading.statistics import DurationBins, MetricHistogram, StatisticsGroup

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


def _total(name: str) -> Callable[[StatisticsView], int]:
    return lambda view: view.group.totals[name]


def _resource(name: str) -> Callable[[StatisticsView], Sequence[tuple[int, int]]]:
    return lambda view: view.group.resources[name]


def _durations(view: StatisticsView) -> list[tuple[int, int]]:
    assert view.bins is not None
    return [((number + 1) * view.bins.width_s, jobs) for number, jobs in enumerate(view.group.duration)]


def _metrics(view: StatisticsView) -> list[tuple[AskedMetric, list[int]]]:
    return list(zip(view.metrics, view.group.metrics, strict=True))


def _bins(item: tuple[AskedMetric, list[int]]) -> list[tuple[int, int, int, int]]:
    asked, counts = item
    edges = asked.histogram.edges()
    return [(number, jobs, *edge) for number, (jobs, edge) in enumerate(zip(counts, edges, strict=True), start=1)]


TABLES: Tables = {
    "JobsStatistics": {
        "id": attrgetter("group.key"),
        "name": attrgetter("name"),
        **{name: _total(total) for name, total in TOTALS.items()},
        **{name: _resource(column) for name, column in RESOURCES.items()},
        "histDuration": _durations,
        "histMetrics": _metrics,
    },
    "HistoPoint": {"value": itemgetter(0), "count": itemgetter(1)},
    "MetricHistoPoints": {
        "metric": lambda item: item[0].histogram.metric,
        "unit": lambda item: item[0].unit,
        "stat": lambda item: item[0].stat,
        "data": _bins,
    },
    "MetricHistoPoint": {"bin": itemgetter(0), "count": itemgetter(1), "min": itemgetter(2), "max": itemgetter(3)},
}
