"""Statistics over all matching jobs, or per group."""

from collections.abc import Iterable, Mapping, Sequence

from services.gateway.errors import bad_request
from services.gateway.graphql.arguments import job_filters, slice_of
from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.people import names_of
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.statistics import RESOURCES, TOTALS, AskedMetric, StatisticsView
from services.gateway.reading.model import JobFilter, Slice
from services.gateway.reading.source import FOOTPRINT_KEY
from services.gateway.reading.statistics import ALL, DurationBins, GroupBy, MetricHistogram, StatisticsWanted
from shared.domain.clusters import Cluster, Metric

_GROUPS: dict[str, GroupBy] = {"USER": "user", "PROJECT": "project", "CLUSTER": "cluster", "SUBCLUSTER": "subcluster"}
_SORT = {name.upper(): total for name, total in TOTALS.items()}
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


@answers(QUERY, "jobsStatistics")
async def jobs_statistics(ask: Ask) -> list[StatisticsView]:
    """One element per group, or a single one without ``groupBy``. Histograms are per element."""
    assert ask.shape is not None
    names = ask.shape.names
    now = ask.site.clock()
    where = job_filters(ask["filter"], now)
    group_by = _GROUPS[ask["groupBy"]] if ask["groupBy"] else None
    bins = _BINS.get("1h" if ask["numDurationBins"] is None else ask["numDurationBins"], _OTHER_BINS) if "histDuration" in names else None
    metrics = _metrics(ask, where) if "histMetrics" in names else []
    wanted = StatisticsWanted(
        totals=frozenset(TOTALS[name] for name in names & TOTALS.keys()),
        group_by=group_by,
        sort_by=_SORT[ask["sortBy"]] if ask["sortBy"] and group_by else None,
        slice=_slice(ask) if group_by else ALL,
        duration=bins,
        resources=frozenset(RESOURCES[name] for name in names & RESOURCES.keys()),
        metrics=tuple(asked.histogram for asked in metrics),
        short_job_s=ask.request.settings.short_job_s,
    )
    if wanted.slice.most == 0:
        return []
    groups = await ask.site.jobs.statistics(ask.user, where, wanted, int(now))
    people = await names_of(ask.request, [group.key for group in groups]) if group_by == "user" and "name" in names else {}
    return [StatisticsView(group, people.get(group.key, ""), bins, metrics) for group in groups]


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
    clusters = ask.site.link.clusters
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
