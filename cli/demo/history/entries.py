"""Finished jobs of the history: their archive entries and events. Runs in worker processes."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import orjson

from cli.demo.adapter import start_payload
from cli.demo.behaviour import Behaviour, behaviour, loads_of
from cli.demo.machines import Node, definition, nodes_of
from cli.demo.measuring import measured
from cli.demo.scheduler import Job
from shared.advice import Applications, Rules, advise, load_rules
from shared.archive import JobPath, meta_of_row, pack, render_data, render_thumbnail
from shared.domain.clusters import Cluster, Metric
from shared.domain.events import JobAdvised, JobImported, JobStarted
from shared.domain.intake import job_started
from shared.domain.payloads import MetricStatistics, StartPayload
from shared.domain.values import ARCHIVED, JobState
from shared.domain.wire import read_object
from shared.metricdata.arithmetic import statistics_of
from shared.metricdata.model import FloatArray, JobData, Statistics
from shared.metricdata.plan import SeriesQuery, job_data, queries_of
from shared.metricdata.postprocess import combine
from shared.metricdata.request import request_of
from shared.metricdata.results import results_of
from shared.metricdata.source import JobRequest

FINEST_SCOPE_NODES = 8
MAX_SAMPLES = 150  # per series; longer jobs are archived in coarser steps
_STEPS_S = (60, 120, 300, 600)


@dataclass(frozen=True, slots=True)
class MadeJob:
    """``meta`` lacks the database id, and ``advised`` has 0 for it: it is the sequence of the event ``imported``."""

    path: JobPath
    imported: JobImported
    advised: JobAdvised | None
    meta: dict[str, Any]
    data: bytes
    is_packed: bool
    thumbnail: bytes


def make_jobs(jobs: Sequence[Job], neighbours: Sequence[Job]) -> list[MadeJob]:
    """``jobs`` of one cluster; ``neighbours`` are all jobs that ran on the same nodes meanwhile, themselves included."""
    by_host: dict[str, list[Behaviour]] = {}
    for job in neighbours:
        one = behaviour(job)
        for host, _ in job.placements:
            by_host.setdefault(host, []).append(one)
    return [_made(job, by_host) for job in jobs]


@dataclass(frozen=True, slots=True)
class _Machine:
    cluster: Cluster
    nodes: Mapping[str, Node]


@cache
def _machine(name: str) -> _Machine:
    cluster, nodes = nodes_of(definition(name))
    return _Machine(cluster, {node.hostname: node for node in nodes})


@cache
def _coarse(name: str, step: int) -> Cluster:
    cluster = _machine(name).cluster
    return cluster.model_copy(update={"metric_config": [m.model_copy(update={"timestep": step}) for m in cluster.metric_config]})


@cache
def _metrics(name: str, step: int, subcluster: str) -> Sequence[Metric]:
    return _coarse(name, step).metrics_on(subcluster)


@cache
def _rules() -> tuple[Rules, Applications]:
    return load_rules(None, {}), Applications.read()


def _made(job: Job, by_host: Mapping[str, Sequence[Behaviour]]) -> MadeJob:
    cluster, nodes = _machine(job.cluster).cluster, _machine(job.cluster).nodes
    payload, _ = read_object(StartPayload, orjson.dumps(start_payload(job, nodes)))
    started = job_started(payload, {cluster.name: cluster})
    duration = job.end - job.start
    step = next((step for step in _STEPS_S if duration <= step * MAX_SAMPLES), _STEPS_S[-1])
    metrics = _metrics(job.cluster, step, started.sub_cluster)
    row = _row(started, job.request.end_state, duration)
    request = request_of(row, _coarse(job.cluster, step), finest_scope_nodes=FINEST_SCOPE_NODES)
    data = _data(job, request, metrics, [nodes[host] for host, _ in job.placements], by_host)
    results = results_of(data, metrics, num_nodes=started.num_nodes, duration_s=duration)
    statistics = results.statistics_document()
    found: dict[str, Any] = {"footprint": results.footprint, "energy": results.energy, "energy_footprint": results.energy_footprint}
    imported = JobImported(
        **dict(started)
        | found
        | {
            "monitoring_status": ARCHIVED,
            "statistics": {name: MetricStatistics.model_validate(one) for name, one in statistics.items()},
            "job_state": JobState(job.request.end_state),
            "duration": duration,
        }
    )
    advised = advise(row, cluster, statistics, results.data, *_rules())
    meta = meta_of_row(row, [], statistics=statistics, **found)
    text, is_packed = pack(render_data(results.data))
    thumbnail = render_thumbnail(results.data, len(text))
    return MadeJob(JobPath(job.cluster, job.job_id, job.start), imported, advised, meta, text, is_packed, thumbnail)


def _data(
    job: Job, request: JobRequest, metrics: Sequence[Metric], nodes: Sequence[Node], by_host: Mapping[str, Sequence[Behaviour]]
) -> JobData:
    """Metric data as the archiver would load them from a metric store with samples in the coarser step."""
    step = metrics[0].timestep
    times = request.start + step * np.arange(max(-(-request.duration // step), 1), dtype=np.float64)
    around = {id(one): one for node in nodes for one in by_host[node.hostname]}
    loads = loads_of(nodes, around.values(), times)
    dice = np.random.default_rng(zlib.crc32(f"{job.seed}:{job.cluster}:{job.job_id}".encode()))
    samples: dict[tuple[str, str, str], FloatArray] = {}
    for metric in metrics:
        for places, values in measured(metric, nodes, loads, dice):
            for place, row in zip(places, values.astype(np.float64), strict=True):
                samples[metric.name, place.host, place.id] = row
    queries = list(queries_of(request))
    return job_data(queries, [_loaded(query, samples) for query in queries])


@dataclass(frozen=True, slots=True)
class _Loaded:
    data: FloatArray
    statistics: Statistics
    timestep: int


def _loaded(query: SeriesQuery, samples: Mapping[tuple[str, str, str], FloatArray]) -> _Loaded | None:
    keys = [(query.metric.name, query.host, id_) for id_ in query.elements.ids or ("",)]
    parts = [samples[key] for key in keys if key in samples]
    if not parts:
        return None
    data = parts[0] if len(parts) == 1 else combine(parts, query.metric.aggregation)
    found = statistics_of(data)
    return None if found is None else _Loaded(data, found, query.metric.timestep)


def _row(job: JobStarted, state: str, duration: int) -> dict[str, Any]:
    """The row of the finished job, with the columns that the entry and the rules of the advice read."""
    return job.model_dump(mode="json", exclude={"sub_cluster", "user", "partition", "resources", "meta_data"}) | {
        "id": 0,
        "subcluster": job.sub_cluster,
        "hpc_user": job.user,
        "cluster_partition": job.partition,
        "resources": orjson.dumps([one.model_dump(by_alias=True, exclude_defaults=True) for one in job.resources]).decode(),
        "meta_data": orjson.dumps(job.meta_data).decode(),
        "job_state": state,
        "duration": duration,
        "advice": None,
        "stop_seq": None,
    }
