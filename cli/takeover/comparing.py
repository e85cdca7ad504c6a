"""Compares jobs of a cc-backend with those of the site, field by field."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.takeover.database import StoredJob
from cli.takeover.jobs import Unusable, digest_of, fields_of
from cli.takeover.known import Identity, identity_of
from services.jobstore.rules.takeover import brought_metadata
from shared.archive.layout import ArchiveError, JobPath
from shared.database.engine import transaction
from shared.database.sql import one_of
from shared.database.tables import tables
from shared.domain.values import ARCHIVED, JobState

T = TypeVar("T")
MAX_QUOTED = 80  # characters of a value
MAX_LISTED = 100_000  # differences; all of them are counted

# Fields of the event and the columns of the site, for values that are compared as they are.
_COLUMNS = {
    "subCluster": "subcluster",
    "user": "hpc_user",
    "project": "project",
    "partition": "cluster_partition",
    "arrayJobId": "array_job_id",
    "duration": "duration",
    "walltime": "walltime",
    "jobState": "job_state",
    "numNodes": "num_nodes",
    "numHwthreads": "num_hwthreads",
    "numAcc": "num_acc",
    "smt": "smt",
    "shared": "shared",
}
_FIGURES = {"energy": "energy", "footprint": "footprint", "energyFootprint": "energy_footprint"}  # replaced by an archiver here
_ALL = (*_COLUMNS.values(), *_FIGURES.values(), "id", "job_id", "cluster", "start_time", "meta_data", "resources", "monitoring_status")


class Difference(NamedTuple):
    """``field`` is empty for a job that is missing here. ``is_stale``: the job has changed there since it was taken over."""

    job: str
    field: str
    there: Any
    here: Any
    is_stale: bool = False

    def __str__(self) -> str:
        if not self.field:
            return f"{self.job}: {self.there}"
        changed = " (changed there since the last run)" if self.is_stale else ""
        if self.here is None:
            return f"{self.job}: {self.field} {_short(self.there)} is missing here{changed}"
        return f"{self.job}: {self.field} is {_short(self.there)} there and {_short(self.here)} here{changed}"


class Cell(NamedTuple):
    cluster: str
    month: str
    state: str


@dataclass(slots=True)
class Sums:
    """Jobs, core hours and kWh by cluster, month of the start and state. Running jobs have no core hours."""

    jobs: Counter[Cell] = field(default_factory=Counter)
    core_hours: Counter[Cell] = field(default_factory=Counter)
    energy_kwh: Counter[Cell] = field(default_factory=Counter)

    def add(self, fields: Mapping[str, Any]) -> None:
        month = f"{datetime.fromtimestamp(fields['startTime'], UTC):%Y-%m}"
        cell = Cell(fields["cluster"], month, fields["jobState"])
        self.jobs[cell] += 1
        self.core_hours[cell] += fields["duration"] * fields["numHwthreads"] / 3600
        self.energy_kwh[cell] += fields["energy"]


@dataclass(slots=True)
class Comparison:
    """``archived`` are the jobs whose entries the archive of the site should have.

    ``edited`` are jobs whose tags or metadata were added, changed or removed here, which is no difference.
    """

    there: Sums = field(default_factory=Sums)
    here: Sums = field(default_factory=Sums)
    equal: int = 0
    missing: int = 0
    stale: int = 0
    different: int = 0
    unusable: int = 0
    deleted: int = 0
    edited: int = 0
    differences: list[Difference] = field(default_factory=list)
    archived: list[JobPath] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.stale or self.different or self.unusable)

    def note(self, *found: Difference) -> None:
        self.differences += found[: max(0, MAX_LISTED - len(self.differences))]


async def compare_page(comparison: Comparison, engine: AsyncEngine, page: Sequence[StoredJob]) -> None:
    """Raises Unavailable."""
    rows, tags, deleted = await _read(engine, page)
    for stored in page:
        identity, name = identity_of(stored), _name(stored)
        try:
            there = fields_of(stored)
        except (Unusable, ArchiveError) as e:
            comparison.unusable += 1
            comparison.note(Difference(name, "", f"cannot be taken over: {e}", None))
            continue
        comparison.there.add(there)
        row = rows.get(identity)
        if row is None and identity in deleted:
            comparison.deleted += 1
            continue
        if row is None:
            comparison.missing += 1
            comparison.note(Difference(name, "", "is missing here", None))
            continue
        here = _fields_here(row)
        comparison.here.add(here)
        if here["monitoringStatus"] == ARCHIVED:
            comparison.archived.append(JobPath(*identity))
        _compare(comparison, name, stored, there, here, row, tags.get(row["id"], set()))


def _compare(
    comparison: Comparison,
    name: str,
    stored: StoredJob,
    there: Mapping[str, Any],
    here: Mapping[str, Any],
    row: Mapping[str, Any],
    tags: set[tuple[str, str, str]],
) -> None:
    state = orjson.loads(row["former_state"]) if row["former_state"] else None
    is_stale = state is None or state["digest"] != digest_of(there) or stored.id not in (None, row["former_id"])
    found = [Difference(name, field, one, other, is_stale) for field, one, other in _differing(there, here)]
    texts, texts_here = there["metaData"] or {}, here["metaData"] or {}
    changed, edited = _parted({key for key in texts if texts_here.get(key) != texts[key]}, _brought_keys(texts, state))
    found += [Difference(name, f"metaData.{key}", texts[key], texts_here.get(key), is_stale) for key in sorted(changed)]
    wanted = {(tag["type"], tag["name"], tag["scope"]) for tag in there["tags"]}
    brought = {(type_, tag, scope) for type_, tag, scope in state["tags"]} if state else set()
    missing, removed = _parted(wanted - tags, brought)
    found += [Difference(name, "tag", "/".join(tag), None, is_stale) for tag in sorted(missing)]
    comparison.edited += bool(edited or removed or tags - wanted or texts_here.keys() - texts.keys())
    if not found:
        comparison.equal += 1
    elif is_stale:
        comparison.stale += 1
    else:
        comparison.different += 1
    comparison.note(*found)


def _brought_keys(texts: Mapping[str, str], state: Mapping[str, Any] | None) -> set[str]:
    """The keys of metadata whose present texts were brought."""
    brought = state.get("metadata", {}) if state else {}
    return {key for key, digest in brought_metadata(dict(texts)).items() if brought.get(key) == digest}


def _parted(differing: set[T], brought: set[T]) -> tuple[set[T], set[T]]:
    """Differences that a run has yet to bring, and those that were changed here afterwards."""
    return differing - brought, differing & brought


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in (*_COLUMNS, "resources"):
        if there[name] != here[name]:
            yield name, there[name], here[name]
    is_archived_here = here["monitoringStatus"] == ARCHIVED != there["monitoringStatus"]
    is_running = there["jobState"] == JobState.RUNNING  # its figures are measured here
    for name in () if is_archived_here or is_running else ("monitoringStatus", *_FIGURES):
        if (there[name] or 0) != (here[name] or 0):
            yield name, there[name], here[name]


def _fields_here(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: row[column] for name, column in _COLUMNS.items()}
    fields |= {name: fields[name] or 0 for name in ("arrayJobId", "numHwthreads", "numAcc")}
    fields["partition"] = fields["partition"] or ""
    fields |= {name: _json(row[column]) for name, column in _FIGURES.items()}
    resources = [{key: value for key, value in one.items() if value is not None} for one in orjson.loads(row["resources"])]
    return fields | {
        "cluster": row["cluster"],
        "startTime": row["start_time"],
        "monitoringStatus": row["monitoring_status"],
        "metaData": _json(row["meta_data"]),
        "resources": resources,
    }


def _json(stored: Any) -> Any:
    return orjson.loads(stored) if isinstance(stored, str) else stored


async def _read(
    engine: AsyncEngine, page: Sequence[StoredJob]
) -> tuple[dict[Identity, Mapping[str, Any]], dict[int, set[tuple[str, str, str]]], set[Identity]]:
    """The jobs of the page that the site has, their tags by id, and those that were deleted from it."""
    job, gone, tag, link = tables.job.c, tables.job_deletion.c, tables.tag.c, tables.jobtag.c
    numbers = {stored.row["job_id"] for stored in page}
    wanted = {identity_of(stored) for stored in page}
    columns = [tables.job.c[name] for name in (*_ALL, "former_id", "former_state")]
    async with transaction(engine) as connection:
        found = (await connection.execute(select(*columns).where(one_of(job.job_id, numbers)))).mappings()
        rows: dict[Identity, Mapping[str, Any]] = {
            identity: dict(row) for row in found if (identity := (row["cluster"], row["job_id"], row["start_time"])) in wanted
        }
        tags: dict[int, set[tuple[str, str, str]]] = {}
        named = select(link.job_id, tag.tag_type, tag.tag_name, tag.tag_scope).join(tables.tag, tag.id == link.tag_id)
        for id_, *key in await connection.execute(named.where(one_of(link.job_id, [row["id"] for row in rows.values()]))):
            tags.setdefault(id_, set()).add((key[0], key[1], key[2]))
        deleted = await connection.execute(select(gone.cluster, gone.job_id, gone.start_time).where(one_of(gone.job_id, numbers)))
        return rows, tags, {(one[0], one[1], one[2]) for one in deleted}


def _name(stored: StoredJob) -> str:
    row = stored.row
    former = f", id {stored.id} there" if stored.id is not None else ", not in the table of jobs yet"
    return f"{row['cluster']} job {row['job_id']} started at {row['start_time']}{former}"


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
