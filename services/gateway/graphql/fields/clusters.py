"""Cluster definitions, global metrics, and the number of allocated nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Getter, Tables
from services.gateway.people.identity import User
from shared.domain.clusters import Cluster, Metric, MetricUnit, MetricValue, SubCluster


@dataclass(frozen=True, slots=True)
class ClusterView:
    """``partitions`` is empty unless selected."""

    cluster: Cluster
    partitions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SubClusterView:
    subcluster: SubCluster
    metrics: Sequence[Metric]


@dataclass(frozen=True, slots=True)
class Limit:
    """A theoretical peak rate of a node."""

    name: str
    value: MetricValue


@dataclass(frozen=True, slots=True)
class GlobalMetric:
    """``availability`` maps clusters to names of subclusters."""

    name: str
    unit: MetricUnit
    scope: str
    footprint: str
    availability: Mapping[str, Sequence[str]]
    display_name: str = ""
    description: str = ""


def _subclusters(view: ClusterView) -> list[SubClusterView]:
    return [SubClusterView(s, view.cluster.metrics_on(s.name)) for s in view.cluster.sub_clusters]


def _limit(attribute: str, name: str) -> Getter:
    return lambda view: Limit(name, getattr(view.subcluster, attribute))


def _or_none(attribute: str) -> Getter:
    get = attrgetter(attribute)
    return lambda value: get(value) or None


@answers(QUERY, "clusters")
async def clusters(ask: Ask) -> list[ClusterView]:
    """Sorted by name."""
    known = ask.gateway.link.clusters
    partitions = await ask.request.once("partitions", ask.gateway.jobs.partitions) if ask.selects("partitions") else {}
    return [ClusterView(known[name], partitions.get(name, ())) for name in sorted(known)]


@answers(QUERY, "allocatedNodes")
async def allocated_nodes(ask: Ask) -> list[tuple[str, int]]:
    """Sorted by subcluster."""
    name = ask["cluster"]
    return list((await ask.gateway.jobs.allocated_nodes(name)).items()) if "\0" not in name else []


@answers(QUERY, "globalMetrics")
async def global_metrics(ask: Ask) -> list[GlobalMetric]:
    """Sorted by name. Restricted metrics are shown only to users who see all jobs."""
    return metrics_of(ask.gateway.link.clusters, ask.user)


def metrics_of(clusters: Mapping[str, Cluster], user: User) -> list[GlobalMetric]:
    """Unit and scope come from the first cluster by name, the texts from the first that has them, the footprint from the last subcluster
    that has one."""
    found: dict[str, GlobalMetric] = {}
    for name in sorted(clusters):
        for subcluster in clusters[name].sub_clusters:
            for metric in clusters[name].metrics_on(subcluster.name):
                if metric.restrict and not user.sees_all_jobs:
                    continue
                known = found.get(metric.name) or GlobalMetric(metric.name, metric.unit, metric.scope, "", {})
                places = {**known.availability, name: [*known.availability.get(name, ()), subcluster.name]}
                found[metric.name] = GlobalMetric(
                    metric.name,
                    known.unit,
                    known.scope,
                    metric.footprint or known.footprint,
                    places,
                    known.display_name or metric.display_name,
                    known.description or metric.description,
                )
    return [found[name] for name in sorted(found)]


TABLES: Tables = {
    "Cluster": {"name": attrgetter("cluster.name"), "partitions": attrgetter("partitions"), "subClusters": _subclusters},
    "SubCluster": {
        "name": attrgetter("subcluster.name"),
        "nodes": attrgetter("subcluster.nodes"),
        "numberOfNodes": attrgetter("subcluster.number_of_nodes"),
        "processorType": attrgetter("subcluster.processor_type"),
        "socketsPerNode": attrgetter("subcluster.sockets_per_node"),
        "coresPerSocket": attrgetter("subcluster.cores_per_socket"),
        "threadsPerCore": attrgetter("subcluster.threads_per_core"),
        "flopRateScalar": _limit("flop_rate_scalar", "flopRateScalar"),
        "flopRateSimd": _limit("flop_rate_simd", "flopRateSimd"),
        "memoryBandwidth": _limit("memory_bandwidth", "memoryBandwidth"),
        "topology": attrgetter("subcluster.topology"),
        "metricConfig": attrgetter("metrics"),
        "footprint": lambda view: [metric.name for metric in view.metrics if metric.footprint],
    },
    "MetricValue": {"name": attrgetter("name"), "unit": attrgetter("value.unit"), "value": attrgetter("value.value")},
    "Topology": {
        "node": _or_none("node"),
        "socket": _or_none("socket"),
        "memoryDomain": _or_none("memory_domain"),
        "die": _or_none("die"),
        "core": _or_none("core"),
        "accelerators": _or_none("accelerators"),
    },
    "Accelerator": {"id": attrgetter("id"), "type": attrgetter("type"), "model": attrgetter("model")},
    "Unit": {"base": attrgetter("base"), "prefix": attrgetter("prefix")},
    "MetricConfig": {
        "name": attrgetter("name"),
        "displayName": _or_none("display_name"),
        "description": _or_none("description"),
        "unit": attrgetter("unit"),
        "scope": attrgetter("scope"),
        "aggregation": attrgetter("aggregation"),
        "timestep": attrgetter("timestep"),
        "peak": attrgetter("peak"),
        "normal": attrgetter("normal"),
        "caution": attrgetter("caution"),
        "alert": attrgetter("alert"),
        "lowerIsBetter": attrgetter("lower_is_better"),
        "subClusters": attrgetter("sub_clusters"),
    },
    "SubClusterConfig": {
        "name": attrgetter("name"),
        "peak": attrgetter("peak"),
        "normal": attrgetter("normal"),
        "caution": attrgetter("caution"),
        "alert": attrgetter("alert"),
        "remove": attrgetter("remove"),
    },
    "GlobalMetricListItem": {
        "name": attrgetter("name"),
        "displayName": _or_none("display_name"),
        "description": _or_none("description"),
        "unit": attrgetter("unit"),
        "scope": attrgetter("scope"),
        "footprint": attrgetter("footprint"),
        "availability": lambda metric: list(metric.availability.items()),
    },
    "Count": {"name": itemgetter(0), "count": itemgetter(1)},
    "ClusterSupport": {"cluster": lambda item: item[0], "subClusters": lambda item: list(item[1])},
}
