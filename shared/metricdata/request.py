"""Metric requests from database rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from shared.domain.clusters import Cluster, Metric
from shared.domain.payloads import Resource
from shared.metricdata.source import JobRequest

_RESOURCES = TypeAdapter(list[Resource])
_BYTES_PER_SAMPLE = 100  # text, Python objects and arrays together


def request_of(row: Mapping[str, Any], cluster: Cluster, *, finest_scope_nodes: int) -> JobRequest:
    """For the archive: node scope, core scope up to ``finest_scope_nodes`` nodes, accelerators if the job has any."""
    scopes = {"node"}
    if int(row["num_nodes"]) <= finest_scope_nodes:
        scopes.add("core")
    if row["num_acc"]:
        scopes.add("accelerator")
    return JobRequest(
        cluster=cluster,
        subcluster=str(row["subcluster"]),
        start=int(row["start_time"]),
        duration=int(row["duration"]),
        resources=resources_of(row["resources"]),
        num_acc=int(row["num_acc"] or 0),
        scopes=frozenset(scopes),
    )


def request_until(at: int, row: Mapping[str, Any], cluster: Cluster, metrics: Sequence[Metric], others: Collection[str] = ()) -> JobRequest:
    """For footprint and energy of a job that is running at ``at``: only metrics that contribute and ``others``, without samples."""
    request = request_of({**row, "duration": at - int(row["start_time"])}, cluster, finest_scope_nodes=0)
    counting = frozenset(metric.name for metric in metrics if metric.footprint or metric.energy or metric.name in others)
    return replace(request, metrics=counting, with_samples=False)


def resources_of(text: str) -> list[Resource]:
    """The column ``resources`` of a job."""
    return _RESOURCES.validate_json(text)


def bytes_of(request: JobRequest, metrics: Sequence[Metric]) -> int:
    """Estimated memory of the answer."""
    subcluster = request.cluster.subcluster(request.subcluster)
    cores = len(subcluster.topology.core) if subcluster is not None and "core" in request.scopes else 0
    samples = 0
    for metric in metrics:
        elements = 1 + (cores if metric.scope in ("hwthread", "core") else 0)
        samples += elements * (request.duration // metric.timestep + 1)
    return samples * len(request.resources) * _BYTES_PER_SAMPLE
