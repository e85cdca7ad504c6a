"""meta.json: description and statistics of one job. Source: archive format 3, section 2.1."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.archive.layout import ArchiveError, JobPath
from shared.archive.text import dump
from shared.domain.events import JobImported, Tag
from shared.domain.values import ARCHIVED, GLOBAL_SCOPE

# The order of cc-backend. Unknown keys follow.
KEY_ORDER = (
    "cluster subCluster partition project user shared jobState tags resources energyFootprint footprint metaData concurrentJobs "
    "energy arrayJobId walltime requestedMemory jobId duration smt monitoringStatus numAcc numHwthreads numNodes statistics "
    "id submitTime startTime"
).split()
_PLACE = {key: place for place, key in enumerate(KEY_ORDER)}

IMPORTED_KEYS = frozenset(field.alias or name for name, field in JobImported.model_fields.items())
_FOLDED_KEYS = {key.casefold(): key for key in (*IMPORTED_KEYS, "id", "concurrentJobs")}

# column of the table ``job`` -> key; these keys are absent when the value is 0 or empty
_OPTIONAL = {
    "cluster_partition": "partition",
    "array_job_id": "arrayJobId",
    "walltime": "walltime",
    "requested_memory": "requestedMemory",
    "smt": "smt",
    "num_acc": "numAcc",
    "num_hwthreads": "numHwthreads",
    "submit_time": "submitTime",
}
_ALWAYS = {
    "cluster": "cluster",
    "subcluster": "subCluster",
    "project": "project",
    "hpc_user": "user",
    "shared": "shared",
    "job_state": "jobState",
    "job_id": "jobId",
    "duration": "duration",
    "num_nodes": "numNodes",
    "id": "id",
    "start_time": "startTime",
}


def tag_keys(document: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    """Type, name and scope of the tags in a meta.json of any writer: some have null for none. Raises ArchiveError."""
    tags = document.get("tags")
    tags = [] if tags is None else tags
    if not isinstance(tags, list) or not all(isinstance(tag, dict) for tag in tags):
        raise ArchiveError("tags: not a list of objects")
    if not all(isinstance(tag.get(key) or "", str) for tag in tags for key in ("type", "name", "scope")):
        raise ArchiveError("tags: type, name and scope must be texts")
    return {(tag.get("type") or "", tag.get("name") or "", tag.get("scope") or GLOBAL_SCOPE) for tag in tags}


def render_meta(document: Mapping[str, Any]) -> bytes:
    """The file's bytes: known keys in their order, then the others sorted. Raises ValueError for NaN and infinity."""
    ordered = sorted(document, key=lambda key: (_PLACE.get(key, len(KEY_ORDER)), key))
    return dump({key: document[key] for key in ordered})


def meta_of_row(
    row: Mapping[str, Any],
    tags: Sequence[tuple[int, Tag]],
    *,
    statistics: Mapping[str, Any],
    footprint: Mapping[str, float],
    energy_footprint: Mapping[str, float],
    energy: float,
) -> dict[str, Any]:
    """The document of an archived job, from its database row.

    ``tags`` are pairs of tag id and tag; ``energy`` is in kWh. Empty maps are written as ``{}``: cc-backend writes null,
    which its own schemas reject.
    """
    document: dict[str, Any] = {key: row[column] for column, key in _ALWAYS.items()}
    document |= {key: row[column] for column, key in _OPTIONAL.items() if row[column]}
    return document | {
        "resources": orjson.loads(row["resources"]),
        "monitoringStatus": ARCHIVED,
        "concurrentJobs": {"items": [], "count": 0},
        "statistics": _sorted(statistics),
        "footprint": _sorted(footprint),
        "energyFootprint": _sorted(energy_footprint),
        "energy": energy,
        **annotations(row, tags),
    }


def annotations(row: Mapping[str, Any], tags: Sequence[tuple[int, Tag]]) -> dict[str, Any]:
    """The part of the document that can change after the job was archived: ``metaData`` and ``tags``."""
    found: dict[str, Any] = {"metaData": _sorted(orjson.loads(row["meta_data"])) if row["meta_data"] else {}}
    if tags:
        found["tags"] = [
            {"type": tag.type, "name": tag.name, "scope": tag.scope, "id": tag_id}
            for tag_id, tag in sorted(tags, key=lambda pair: pair[1].key)
        ]
    return found


def with_annotations(document: Mapping[str, Any], row: Mapping[str, Any], tags: Sequence[tuple[int, Tag]]) -> dict[str, Any]:
    """An existing document with the tags and metadata of the row. All other keys stay unchanged."""
    kept = {key: value for key, value in document.items() if key not in ("tags", "metaData")}
    return kept | annotations(row, tags)


def _sorted(items: Mapping[str, Any]) -> dict[str, Any]:
    return {key: items[key] for key in sorted(items)}


def known_spelling(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Match keys case-insensitively and drop null values. Unknown keys stay unchanged."""
    return {_FOLDED_KEYS.get(key.casefold(), key): value for key, value in meta.items() if value is not None}


def require_same_job(path: JobPath, meta: Mapping[str, Any]) -> None:
    """Raises ArchiveError when meta.json belongs to another job than its path."""
    named = (meta.get("cluster"), meta.get("jobId"), meta.get("startTime"))
    if named != (path.cluster, path.job_id, path.start_time):
        raise ArchiveError(f"meta.json belongs to job {named[1]!r} of cluster {named[0]!r} started at {named[2]!r}")
