"""Cluster definitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from services.gateway.graphql.shape import Getter, Tables
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


def _subclusters(view: ClusterView) -> list[SubClusterView]:
    return [SubClusterView(s, view.cluster.metrics_on(s.name)) for s in view.cluster.sub_clusters]


def _limit(attribute: str, name: str) -> Getter:
    return lambda view: Limit(name, getattr(view.subcluster, attribute))


def _or_none(attribute: str) -> Getter:
    get = attrgetter(attribute)
    return lambda value: get(value) or None


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
        "unit": attrgetter("unit"),
        "scope": attrgetter("scope"),
        "footprint": attrgetter("footprint"),
        "availability": lambda metric: list(metric.availability.items()),
    },
    "ClusterSupport": {"cluster": lambda item: item[0], "subClusters": lambda item: list(item[1])},
}
