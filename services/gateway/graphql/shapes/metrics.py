"""Metric data of jobs, nodes and clusters. Samples are JSON text that is copied into the answer."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson

from services.gateway.graphql.shape import Getter, Tables
from services.gateway.metrics.model import Numbers, SeriesText
from services.gateway.metrics.statistics import NamedStatistics
from services.gateway.reading.jobs import StoredJob

_NONE = orjson.Fragment(b"[]")


@dataclass(frozen=True, slots=True)
class JobStatisticsView:
    """``duration`` in seconds; a running job's ends now."""

    job: StoredJob
    duration: int
    statistics: list[NamedStatistics]


def _numbers(attribute: str) -> Getter:
    get = attrgetter(attribute)

    def text(value: Any) -> orjson.Fragment:
        found: Numbers | None = get(value)
        return _NONE if found is None else found.fragment

    return text


def _null(_: Any) -> None:
    return None


def _id(series: SeriesText) -> str | None:
    return series.id


TABLES: Tables = {
    "JobMetricWithName": {"name": attrgetter("name"), "scope": attrgetter("scope"), "metric": attrgetter("metric")},
    "JobMetric": {
        "unit": attrgetter("unit"),
        "timestep": attrgetter("timestep"),
        "series": attrgetter("series"),
        "statisticsSeries": attrgetter("statistics_series"),
    },
    "Series": {"hostname": attrgetter("hostname"), "id": _id, "statistics": attrgetter("statistics"), "data": _numbers("data")},
    "StatsSeries": {"mean": _numbers("mean"), "median": _numbers("median"), "min": _numbers("min"), "max": _numbers("max")},
    "MetricStatistics": {"avg": attrgetter("avg"), "min": attrgetter("min"), "max": attrgetter("max")},
    "NamedStats": {"name": attrgetter("name"), "data": attrgetter("data")},
    "NamedStatsWithScope": {"name": attrgetter("name"), "scope": attrgetter("scope"), "stats": attrgetter("metric.series")},
    "ScopedStats": {"hostname": attrgetter("hostname"), "id": _id, "data": attrgetter("statistics")},
    "JobStats": {
        "id": attrgetter("job.id"),
        "jobId": lambda view: str(view.job.job_id),
        "startTime": attrgetter("job.start_time"),
        "duration": attrgetter("duration"),
        "cluster": attrgetter("job.cluster"),
        "subCluster": attrgetter("job.subcluster"),
        "numNodes": attrgetter("job.num_nodes"),
        "numHWThreads": lambda view: view.job.num_hwthreads or 0,
        "numAccelerators": lambda view: view.job.num_acc or 0,
        "stats": attrgetter("statistics"),
    },
    "Footprints": {"timeWeights": attrgetter("time_weights"), "metrics": attrgetter("metrics")},
    "TimeWeights": {"nodeHours": _numbers("node_hours"), "accHours": _numbers("acc_hours"), "coreHours": _numbers("core_hours")},
    "MetricFootprints": {"metric": attrgetter("metric"), "data": _numbers("data")},
    "NodeMetrics": {
        "host": attrgetter("host"),
        "nodeState": attrgetter("state.node_state"),
        "metricHealth": attrgetter("state.health"),
        "subCluster": attrgetter("subcluster"),
        "metrics": attrgetter("metrics"),
    },
    "NodesResultList": {
        "items": attrgetter("items"),
        "offset": _null,
        "limit": _null,
        "count": _null,
        "totalNodes": attrgetter("total"),
        "hasNextPage": attrgetter("has_next"),
    },
    "ClusterMetrics": {"nodeCount": attrgetter("node_count"), "metrics": attrgetter("metrics")},
    "ClusterMetricWithName": {
        "name": attrgetter("name"),
        "unit": attrgetter("unit"),
        "timestep": attrgetter("timestep"),
        "data": _numbers("data"),
    },
}
