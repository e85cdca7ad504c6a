"""Cluster definitions."""

from typing import Any

from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.frame.answers import answer
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.rest.models import ClusterList
from shared.domain.clusters import Cluster, Metric, MetricUnit, SubCluster

routes = Routes[Call]("clusters")

Json = dict[str, Any]


class ClusterQuery(Query):
    cluster: str | None = Field(None, description="Only this cluster.")


@routes("GET", "/api/clusters/", query=ClusterQuery, answers={200: ClusterList}, failures=(400, 503))
async def list_clusters(call: Call) -> web.StreamResponse:
    """The configured clusters."""
    name = read_query(ClusterQuery, call.request).cluster
    link = call.gateway.link
    chosen = [link.cluster(name)] if name is not None else [link.clusters[key] for key in sorted(link.clusters)]
    return answer({"clusters": [cluster_object(cluster) for cluster in chosen]})


def cluster_object(cluster: Cluster) -> Json:
    return {
        "name": cluster.name,
        "metricConfig": [_metric(metric) for metric in cluster.metric_config],
        "subClusters": [_subcluster(cluster, subcluster) for subcluster in cluster.sub_clusters],
    }


def _unit(unit: MetricUnit) -> Json:
    return {"base": unit.base} | ({"prefix": unit.prefix} if unit.prefix else {})


def _metric(metric: Metric) -> Json:
    result = metric.model_dump(by_alias=True, exclude={"unit", "footprint", "sub_clusters"}) | {"unit": _unit(metric.unit)}
    for name in ("displayName", "description"):
        if not result[name]:
            del result[name]
    if metric.footprint:
        result["footprint"] = metric.footprint
    if metric.sub_clusters:
        # Overrides have no unit of their own; readers of the interface expect an empty one.
        result["subClusters"] = [
            override.model_dump(by_alias=True, exclude={"footprint"} if not override.footprint else None) | {"unit": {"base": ""}}
            for override in metric.sub_clusters
        ]
    return result


def _subcluster(cluster: Cluster, subcluster: SubCluster) -> Json:
    effective = cluster.metrics_on(subcluster.name)
    topology = subcluster.topology.model_dump(by_alias=True)
    result = subcluster.model_dump(by_alias=True, exclude={"topology", "flop_rate_scalar", "flop_rate_simd", "memory_bandwidth"})
    result["topology"] = {name: value for name, value in topology.items() if value or name not in ("die", "accelerators")}
    for name in ("flop_rate_scalar", "flop_rate_simd", "memory_bandwidth"):
        rate = getattr(subcluster, name)
        result[type(subcluster).model_fields[name].alias or name] = {"unit": _unit(rate.unit), "value": rate.value}
    lists: Json = {
        "metricConfig": [_metric(metric) | {"restrict": False} for metric in effective],
        "footprint": [metric.name for metric in effective if metric.footprint],
        "energyFootprint": [metric.name for metric in effective if metric.energy],
    }
    return result | {name: values for name, values in lists.items() if values}
