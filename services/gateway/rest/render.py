"""Jobs as JSON objects of the interface: names, omitted fields, numbers."""

from collections.abc import Sequence
from typing import Any

import orjson

from services.gateway.reading.jobs import shown_duration
from services.gateway.reading.model import StoredJob, StoredTag
from shared.domain.advice import advice_of

Json = dict[str, Any]

# Omitted if empty, 0 or absent.
_OMITTED_WHEN_EMPTY = (
    ("partition", "cluster_partition"),
    ("arrayJobId", "array_job_id"),
    ("walltime", "walltime"),
    ("smt", "smt"),
    ("monitoringStatus", "monitoring_status"),
    ("numAcc", "num_acc"),
    ("numHwthreads", "num_hwthreads"),
)
_RESOURCE_OPTIONS = ("hwthreads", "accelerators", "configuration")


def job_object(
    job: StoredJob, now: float, *, tags: Sequence[StoredTag] = (), with_metadata: bool = False, statistics: Json | None = None
) -> Json:
    """One job. The duration of a running job is counted up to ``now`` (Unix time)."""
    result: Json = {
        "id": job.id,
        "jobId": job.job_id,
        "cluster": job.cluster,
        "subCluster": job.subcluster,
        "project": job.project,
        "user": job.hpc_user,
        "shared": job.shared,
        "jobState": job.job_state,
        "resources": [_resource(resource) for resource in orjson.loads(job.resources)],
        "numNodes": job.num_nodes,
        "startTime": job.start_time,
        "duration": shown_duration(job, now),
        "energy": _number(job.energy),
        "energyFootprint": _numbers(job.energy_footprint),
        "footprint": _numbers(job.footprint),
        "metaData": orjson.loads(job.meta_data) if with_metadata and job.meta_data else None,
        "statistics": statistics,
        "concurrentJobs": {"items": None, "count": 0},
    }
    for name, column in _OMITTED_WHEN_EMPTY:
        value = getattr(job, column)
        if value:
            result[name] = value
    if job.advice and (advice := advice_of(job.advice)):
        result["advice"] = advice
    if tags:
        result["tags"] = [tag_object(tag) for tag in tags]
    return result


def tag_object(tag: StoredTag) -> Json:
    return {"type": tag.type, "name": tag.name, "scope": tag.scope, "id": tag.id}


def _resource(stored: Json) -> Json:
    return {"hostname": stored["hostname"]} | {name: stored[name] for name in _RESOURCE_OPTIONS if stored.get(name)}


def _numbers(text: str | None) -> Json | None:
    if text is None:
        return None
    values = orjson.loads(text)
    return None if values is None else {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float:
    """Print whole numbers without a fraction, as cc-backend does."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
