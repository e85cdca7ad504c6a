"""The facts about a job that rules can use: its record, and its metrics with limits, statistics and course over time. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from shared.advice.courses import course_of
from shared.domain.clusters import Cluster, Metric
from shared.metricdata.model import FloatArray, JobData, MetricData
from shared.metricdata.results import PREFIX_FACTOR

SILENT_STEPS = 3  # timesteps without samples after which a node is silent, if others have some


@dataclass(frozen=True, slots=True)
class JobFacts:
    """``names`` is the environment of expressions: ``job`` and the metrics by name."""

    cluster: str
    subcluster: str
    names: Mapping[str, Any]

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(self.names) - {"job"}


def facts_of(
    row: Mapping[str, Any],
    cluster: Cluster,
    statistics: Mapping[str, Mapping[str, Any]],
    data: JobData,
    courses: JobData | None = None,
) -> JobFacts:
    """``row`` is a row of the table ``job``, ``statistics`` those of meta.json. ``data`` may lack metrics, scopes and samples.

    ``courses`` has the samples up to the end of the job, if ``data`` has none; it may begin later than the job.

    A metric has ``avg``, ``min``, ``max``; ``limits``; ``unit``; ``nodes`` and ``devices``, lists with one average per node and
    accelerator; ``hosts`` and ``deviceNames``, their names; and what ``courses.course_of`` gives.
    """
    subcluster = str(row["subcluster"])
    metrics = {metric.name: metric for metric in cluster.metrics_on(subcluster)}
    series = data if courses is None else courses
    names = {
        name: _metric(metrics[name], found, data.get(name, {}), series.get(name, {}))
        for name, found in statistics.items()
        if name in metrics
    }
    return JobFacts(cluster.name, subcluster, {**names, "job": _job(row, cluster, subcluster, series)})


def _job(row: Mapping[str, Any], cluster: Cluster, subcluster: str, series: JobData) -> dict[str, Any]:
    hardware = cluster.subcluster(subcluster)
    nodes = int(row["num_nodes"])
    threads_per_node = len(hardware.topology.node) if hardware is not None else 0
    threads = int(row["num_hwthreads"] or 0) or nodes * threads_per_node
    hosts = [resource["hostname"] for resource in orjson.loads(row["resources"])]
    return {
        "state": row["job_state"],
        "jobState": row["job_state"],
        "shared": row["shared"],
        "duration": int(row["duration"] or 0),
        "walltime": int(row["walltime"] or 0),
        "startTime": int(row["start_time"]),
        "requestedMemory": int(row["requested_memory"] or 0),
        "partition": row["cluster_partition"] or "",
        "numNodes": nodes,
        "numHwthreads": threads,
        "numCores": threads,  # hardware threads, as in cc-backend's rules
        "threadsPerNode": threads_per_node,
        "numAcc": int(row["num_acc"] or 0),
        "smt": int(row["smt"] or 0),
        "hosts": hosts,
        "silentHosts": _silent(hosts, (scopes["node"] for scopes in series.values() if "node" in scopes)),
    }


def _metric(
    metric: Metric, statistics: Mapping[str, Any], scopes: Mapping[str, MetricData], courses: Mapping[str, MetricData]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        **{kind: float(statistics[kind]) for kind in ("avg", "min", "max")},
        "limits": {kind: getattr(metric, kind) for kind in ("peak", "normal", "caution", "alert")},
        "unit": metric.unit.prefix + metric.unit.base,
        "scale": PREFIX_FACTOR.get(metric.unit.prefix, 1.0),
        "nodes": [],
        "hosts": [],
        "devices": [],
        "deviceNames": [],
    }
    if "accelerator" in scopes:
        found["devices"] = [series.statistics.avg for series in scopes["accelerator"].series]
        found["deviceNames"] = [f"{series.id} of {series.hostname}" for series in scopes["accelerator"].series]
    if "node" in scopes:
        found["nodes"] = [series.statistics.avg for series in scopes["node"].series]
        found["hosts"] = [series.hostname for series in scopes["node"].series]
    if "node" in courses:
        found |= course_of([series.data for series in courses["node"].series], courses["node"].timestep)
    return found


def _silent(hosts: Sequence[str], metrics: Iterable[MetricData]) -> list[str]:
    """The hosts whose samples end earlier than those of the others; all metrics begin at the same time."""
    ends: dict[str, int] = dict.fromkeys(hosts, 0)
    longest_step = 1
    for metric in metrics:
        longest_step = max(longest_step, metric.timestep)
        for series in metric.series:
            if series.hostname in ends and series.data.size:
                ends[series.hostname] = max(ends[series.hostname], _samples(series.data) * metric.timestep)
    latest = max(ends.values(), default=0)
    return [host for host, end in ends.items() if latest - end > SILENT_STEPS * longest_step]


def _samples(data: FloatArray) -> int:
    """Steps up to the last sample."""
    present = np.flatnonzero(~np.isnan(data))
    return int(present[-1]) + 1 if present.size else 0
