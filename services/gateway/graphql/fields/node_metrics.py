"""Metric data of nodes and clusters, for staff."""

from collections.abc import Sequence
from operator import attrgetter

import orjson

from services.gateway.graphql.arguments import points_of, slice_of, unix_seconds
from services.gateway.graphql.fields.metrics import names, scopes
from services.gateway.graphql.fields.nodes import require_staff
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Batch, Batches, Tables
from services.gateway.metrics.hosts import HostFilter
from services.gateway.metrics.nodes import ClusterMetrics, HostMetrics, HostMetricsPage, HostsNow, MetricNow, Window
from services.gateway.metrics.selection import MetricSelection


@answers(QUERY, "nodeMetrics")
async def node_metrics(ask: Ask) -> list[HostMetrics]:
    """Always at node level, and in measured resolution without ``points``; ``scopes`` is ignored."""
    require_staff(ask)
    points = points_of(ask["points"])
    how = MetricSelection(
        points=points,
        with_samples=points is None or ask.selects("metrics.metric.series.data"),
        with_band=points is not None and ask.selects("metrics.metric.statisticsSeries"),
    )
    return await ask.gateway.metrics.nodes.of_hosts(ask["cluster"], ask["nodes"], ask["metrics"], _window(ask), how)


@answers(QUERY, "nodeMetricsList")
async def node_metrics_list(ask: Ask) -> HostMetricsPage:
    require_staff(ask)
    services = ask.gateway.metrics
    wanted = HostFilter(services.nodes.cluster(ask["cluster"]), ask["subCluster"], ask["stateFilter"], ask["nodeFilter"])
    how = MetricSelection(
        scopes=scopes(ask["scopes"]),
        resolution=services.settings.resolution(ask["resolution"]),
        points=points_of(ask["points"], ask["resolution"]),
        with_samples=ask.selects("items.metrics.metric.series.data"),
        with_band=ask.selects("items.metrics.metric.statisticsSeries"),
    )
    return await services.nodes.page(wanted, slice_of(ask["page"]), names(ask["metrics"]), how.scopes, _window(ask), how)


@answers(QUERY, "nodesNow")
async def nodes_now(ask: Ask) -> Batch:
    require_staff(ask)
    found = await ask.gateway.metrics.nodes.now(ask["cluster"], ask["metrics"])
    return Batch(found, len(found.hosts))


@answers(QUERY, "clusterMetrics")
async def cluster_metrics(ask: Ask) -> ClusterMetrics:
    require_staff(ask)
    return await ask.gateway.metrics.nodes.of_cluster(ask["cluster"], ask["metrics"], _window(ask))


def _window(ask: Ask) -> Window:
    return Window(unix_seconds(ask["from"], "from"), unix_seconds(ask["to"], "to"))


def _each(values: Sequence[str]) -> list[bytes]:
    texts = {value: orjson.dumps(value) for value in values}
    return [texts[value] for value in values]


def _values(metric: MetricNow) -> list[bytes]:
    return orjson.dumps(metric.values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _times(metric: MetricNow) -> list[bytes]:
    return orjson.dumps(metric.times)[1:-1].split(b",")


def _metrics(now: HostsNow) -> Batches:
    return Batches(len(now.hosts), [(Batch(metric, len(metric.places)), metric.places) for metric in now.metrics])


TABLES: Tables = {
    "NodeNow": {"host": lambda now: _each(now.hosts), "subCluster": lambda now: _each(now.subclusters), "metrics": _metrics},
    "MetricNow": {"name": attrgetter("name"), "value": _values, "time": _times},
}
