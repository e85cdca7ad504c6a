"""Jobs of a cc-backend as events."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from cli.takeover.database import StoredJob, as_text
from shared.archive.imports import known_statistics, only
from shared.archive.layout import ArchiveError
from shared.domain.events import JobTakenOver
from shared.domain.fitting import fitted
from shared.domain.states import state_of
from shared.domain.values import MONITORING_OPEN, JobState
from shared.domain.wire import storable_text
from shared.errors import JobtideError

_RESOURCE = ("hostname", "hwthreads", "accelerators", "configuration")
_SHARED = frozenset(("none", "single_user", "multi_user"))


class Unusable(JobtideError):
    """A row that cannot become an event. The text names the column."""


def fields_of(stored: StoredJob) -> dict[str, Any]:
    """The fields of the event as far as the database has them, named as in JSON. Raises Unusable."""
    row = stored.row
    state = _state(row["job_state"])
    fields: dict[str, Any] = {
        "jobId": row["job_id"],
        "cluster": row["cluster"],
        "subCluster": row["subcluster"] or "",
        "submitTime": row["submit_time"] or 0,
        "startTime": row["start_time"],
        "user": row["hpc_user"],
        "project": row["project"] or "",
        "partition": row["cluster_partition"] or "",
        "arrayJobId": row["array_job_id"] or 0,
        "duration": 0 if state is JobState.RUNNING else row["duration"],  # cc-backend updates it all the time
        "walltime": row["walltime"] or 0,
        "jobState": state.value,
        "resources": _resources(row["resources"]),
        "numNodes": row["num_nodes"],
        "numHwthreads": row["num_hwthreads"] or 0,
        "numAcc": row["num_acc"] or 0,
        "smt": row["smt"] or 0,
        "shared": row["shared"] if row["shared"] in _SHARED else "none",
        "monitoringStatus": MONITORING_OPEN if row["monitoring_status"] is None else row["monitoring_status"],
        "energy": float(row["energy"] or 0.0),
        "energyFootprint": _numbers(row["energy_footprint"], "energy_footprint"),
        "footprint": _numbers(row["footprint"], "footprint"),
        "metaData": _texts(row["meta_data"]),
        "tags": [{"type": type_, "name": name, "scope": scope or "global"} for type_, name, scope in stored.tags],
    }
    return {name: _storable(value) for name, value in fields.items()}


def digest_of(fields: Mapping[str, Any]) -> str:
    """Equal for equal states of a job."""
    return hashlib.blake2b(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def event_of(stored: StoredJob, fields: Mapping[str, Any], digest: str, meta: Mapping[str, Any] | None, max_bytes: int) -> JobTakenOver:
    """``meta`` is the job's entry in the archive, which has what the database lacks. Raises Unusable."""
    given = dict(fields)
    given |= {"formerId": stored.id, "digest": digest}
    try:
        if meta is not None:
            given["statistics"] = known_statistics(meta.get("statistics") or {})
            for name in ("submitTime", "requestedMemory"):
                given[name] = given.get(name) or meta.get(name) or 0
        event = JobTakenOver.model_validate_json(orjson.dumps(given), strict=True)
    except (ValidationError, orjson.JSONEncodeError, ArchiveError) as e:
        raise Unusable(_first_finding(e)) from e
    if (cut := fitted(event, max_bytes)) is None:
        raise Unusable("larger than the broker accepts, even without its metadata")
    return cut


def _state(word: Any) -> JobState:
    if word == "stopped":  # a final state of releases before 1.3
        return JobState.CANCELLED
    state = state_of(word) if isinstance(word, str) else None
    if state is None:
        raise Unusable(f"job_state: {word!r} is not a state")
    return state


def _resources(stored: Any) -> list[dict[str, Any]]:
    found = _json(stored, "resources")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise Unusable("resources: not a list of objects")
    return [only(one, *_RESOURCE) for one in found]


def _numbers(stored: Any, column: str) -> dict[str, float] | None:
    found = _json(stored, column)
    if not isinstance(found, dict):
        return None
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _texts(stored: Any) -> dict[str, str] | None:
    found = _json(stored, "meta_data")
    if not isinstance(found, dict):
        return None
    return {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in found.items()}


def _json(stored: Any, column: str) -> Any:
    try:
        return None if stored in (None, "", b"") else orjson.loads(as_text(stored))
    except orjson.JSONDecodeError as e:
        raise Unusable(f"{column}: not JSON: {e}") from e


def _storable(value: Any) -> Any:
    is_plain = not isinstance(value, str) or (value.isascii() and "\0" not in value)
    return value if is_plain else storable_text(value)


def _first_finding(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
