"""Metric data of nodes and clusters, for staff."""

from services.gateway.graphql.arguments import slice_of, unix_seconds
from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.metrics import names, scopes
from services.gateway.graphql.resolvers.nodes import require_staff
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.metrics.hosts import HostFilter
from services.gateway.metrics.nodes import ClusterMetrics, HostMetrics, HostMetricsPage, Window
from services.gateway.metrics.selection import MetricSelection


@answers(QUERY, "nodeMetrics")
async def node_metrics(ask: Ask) -> list[HostMetrics]:
    """Always at node level and in measured resolution; ``scopes`` is ignored."""
    require_staff(ask)
    return await ask.site.metrics.nodes.of_hosts(ask["cluster"], ask["nodes"], ask["metrics"], _window(ask))


@answers(QUERY, "nodeMetricsList")
async def node_metrics_list(ask: Ask) -> HostMetricsPage:
    require_staff(ask)
    services = ask.site.metrics
    wanted = HostFilter(services.nodes.cluster(ask["cluster"]), ask["subCluster"], ask["stateFilter"], ask["nodeFilter"])
    how = MetricSelection(
        scopes=scopes(ask["scopes"]),
        resolution=services.settings.resolution(ask["resolution"]),
        with_samples=ask.selects("items.metrics.metric.series.data"),
        with_band=ask.selects("items.metrics.metric.statisticsSeries"),
    )
    return await services.nodes.page(wanted, slice_of(ask["page"]), names(ask["metrics"]), how.scopes, _window(ask), how)


@answers(QUERY, "clusterMetrics")
async def cluster_metrics(ask: Ask) -> ClusterMetrics:
    require_staff(ask)
    return await ask.site.metrics.nodes.of_cluster(ask["cluster"], ask["metrics"], _window(ask))


def _window(ask: Ask) -> Window:
    return Window(unix_seconds(ask["from"], "from"), unix_seconds(ask["to"], "to"))
