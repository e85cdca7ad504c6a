"""Importing archive entries: walking an archive, reading entries, converting them to events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from shared.archive.layout import ArchiveError, JobPath, require_version, without_place
from shared.archive.meta import IMPORTED_KEYS, known_spelling, require_same_job
from shared.archive.store import ArchiveStore
from shared.domain.clusters import Cluster, assign_subcluster
from shared.domain.events import JobImported
from shared.domain.states import state_of
from shared.domain.values import ARCHIVED, GLOBAL_SCOPE, INT32_MAX, INT64_MAX, JobState
from shared.errors import Refused
from shared.metricdata.arithmetic import round2
from shared.metricdata.model import Statistics
from shared.metricdata.results import energy_kwh, footprint

_FINAL_STATES = frozenset(JobState) - {JobState.RUNNING, JobState.PENDING, JobState.SUSPENDED}


@dataclass(frozen=True, slots=True)
class ArchivedJob:
    """A readable entry. The keys of ``meta`` are spelled as in the format."""

    path: JobPath
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An unusable entry. ``why`` does not repeat ``place``."""

    place: str
    why: str


def entries_of(store: ArchiveStore) -> Iterator[ArchivedJob | UnreadableEntry]:
    """All jobs of an archive, cluster by cluster. Data must exist, but are not read. Blocks.

    Raises UserError when it is not an archive of this version.
    """
    require_version(store.version(), store.address)
    for path in store.paths():
        if not isinstance(path, JobPath):
            yield UnreadableEntry(path.place, path.why)
            continue
        try:
            meta = known_spelling(store.document(path))
            require_same_job(path, meta)
            store.data_stamp(path)
        except ArchiveError as e:
            yield UnreadableEntry(path.relative, without_place(e, Path(path.relative)))
        else:
            yield ArchivedJob(path, meta)


def imported_job(meta: Mapping[str, Any], cluster: Cluster) -> JobImported:
    """The import event of an archived job. A missing subcluster is derived from the first host; missing footprint and energy
    are computed from the statistics with the subcluster's configuration.

    Raises ArchiveError, which names the field.
    """
    fields = {key: value for key, value in meta.items() if key in IMPORTED_KEYS}
    fields["monitoringStatus"] = ARCHIVED
    fields["shared"] = fields.get("shared") or "none"
    fields.setdefault("subCluster", "")
    fields["resources"] = [_resource(one) for one in _list(fields, "resources")]
    fields["tags"] = [_tag(tag) for tag in _list(fields, "tags")]
    fields |= {key: _text(fields[key]) for key in ("user", "project", "partition") if key in fields}
    fields["jobState"] = _state(fields.get("jobState"))
    if isinstance(texts := fields.get("metaData"), dict):
        fields["metaData"] = {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in texts.items()}
    fields["statistics"] = known_statistics(fields.get("statistics") or {})
    try:
        job = JobImported.model_validate_json(orjson.dumps(fields), strict=True)
    except (ValidationError, orjson.JSONEncodeError) as e:
        raise ArchiveError(_first_finding(e)) from e
    _require_sane(job)
    try:
        subcluster = assign_subcluster({cluster.name: cluster}, job.cluster, job.sub_cluster, job.resources[0].hostname)
    except Refused as e:
        raise ArchiveError(str(e)) from e
    return _enriched(job.model_copy(update={"sub_cluster": subcluster}), cluster)


def _list(fields: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = fields.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ArchiveError(f"{key}: not a list of objects")
    return value


def only(item: Any, *keys: str) -> dict[str, Any]:
    """The given keys of an object that have a value. Raises ArchiveError unless ``item`` is an object."""
    if not isinstance(item, dict):
        raise ArchiveError(f"{keys[0]}: not inside an object")
    return {key: item[key] for key in keys if item.get(key) is not None}


def _resource(found: dict[str, Any]) -> dict[str, Any]:
    resource = only(found, "hostname", "hwthreads", "accelerators", "configuration")
    if isinstance(accelerators := resource.get("accelerators"), list):
        resource["accelerators"] = [_text(one) for one in accelerators]
    return resource


def _tag(found: dict[str, Any]) -> dict[str, Any]:
    return {key: _text(value) for key, value in only(found, "type", "name").items()} | {"scope": found.get("scope") or GLOBAL_SCOPE}


def _text(value: Any) -> Any:
    """Other writers store ids and names that consist of digits as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _state(word: Any) -> Any:
    """A state word in another spelling, such as ``CANCELED``, ``cancelled by 4711`` or ``out-of-memory+``."""
    state = state_of(word) if isinstance(word, str) else None
    return word if state is None else state.value


def known_statistics(found: Any) -> dict[str, Any]:
    """The statistics of metrics in the form of events. Drops other values: the schema allows a list for ``filesystems``."""
    if not isinstance(found, dict):
        raise ArchiveError("statistics: not an object")
    return {
        name: only(one, "avg", "min", "max") | {"unit": only(one.get("unit") or {}, "base", "prefix")}
        for name, one in found.items()
        if isinstance(one, dict)
    }


_COUNTS = {"num_nodes", "num_hwthreads", "num_acc", "smt"}  # 32-bit columns; SQLite would accept larger values


def _require_sane(job: JobImported) -> None:
    if job.job_state not in _FINAL_STATES:
        raise ArchiveError(f"jobState: a job in the archive cannot be {job.job_state}")
    if not job.user:
        raise ArchiveError("user: is empty")
    if not job.resources:
        raise ArchiveError("resources: is empty")
    if job.num_nodes != len(job.resources):
        raise ArchiveError(f"numNodes: is {job.num_nodes}, but there are {len(job.resources)} resources")
    for name in ("job_id", "start_time", "duration", "num_acc", "num_hwthreads"):
        if getattr(job, name) < 0:
            raise ArchiveError(f"{JobImported.model_fields[name].alias}: is negative")
    for name, field in JobImported.model_fields.items():
        value = getattr(job, name)
        if isinstance(value, int) and not -(limit := INT32_MAX if name in _COUNTS else INT64_MAX) <= value <= limit:
            raise ArchiveError(f"{field.alias}: is outside ±{limit}")


def _enriched(job: JobImported, cluster: Cluster) -> JobImported:
    metrics = cluster.metrics_on(job.sub_cluster)
    statistics = {name: Statistics(one.avg, one.min, one.max) for name, one in (job.statistics or {}).items()}
    filled: dict[str, Any] = {}
    if not job.footprint:
        filled["footprint"] = footprint(metrics, statistics)
    if not job.energy and not job.energy_footprint:
        by_metric = {
            metric.name: energy_kwh(metric, {}, statistics[metric.name], num_nodes=job.num_nodes, duration_s=job.duration)
            for metric in metrics
            if metric.energy and metric.name in statistics
        }
        filled |= {"energy_footprint": by_metric, "energy": round2(sum(by_metric.values()))}
    return job.model_copy(update=filled)


def _first_finding(error: ValidationError | orjson.JSONEncodeError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
