"""Changes in the database after a place in the log: jobs, deletions, nodes, ordered by sequence.

A row has only the sequence of its last change. So several changes between two polls collapse into the
last state, and a row that changes while it is being read is read again under its new sequence.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, null, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.jobs import all_tags_of
from services.gateway.reading.model import StoredJob, StoredTag
from shared.database.engine import read
from shared.database.progress import Progress
from shared.database.tables import tables
from shared.domain.values import INT64_MAX

CHUNK = 200
WHOLE = INT64_MAX  # larger than any id


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A row of ``node``; JSON columns are still text."""

    id: int
    hostname: str
    cluster: str
    subcluster: str
    meta_data: str | None
    time_stamp: int
    node_state: str
    cpus_allocated: int
    memory_allocated: int
    gpus_allocated: int
    jobs_running: int
    health_state: str
    health_data: str


@dataclass(frozen=True, slots=True)
class JobChange:
    """``tags`` are all tags of the job; the viewer filters them. ``texts`` caches its renderings."""

    sequence: int
    job: StoredJob
    tags: Sequence[StoredTag]
    resume: Progress
    texts: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class JobDeletion:
    sequence: int
    id: int
    cluster: str
    hpc_user: str
    project: str
    resume: Progress
    texts: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NodeChange:
    sequence: int
    node: StoredNode
    resume: Progress
    texts: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


# ``resume`` is the progress of a reader that has received this change and all before it.
Change = JobChange | JobDeletion | NodeChange


def is_after(change: Change, at: Progress) -> bool:
    return change.sequence > (at.nodes if isinstance(change, NodeChange) else at.events)


@dataclass(frozen=True)
class Chunk:
    """``end`` is the progress of a reader that has received the whole chunk. ``texts`` caches renderings shared by viewers."""

    changes: Sequence[Change]
    end: Progress
    texts: dict[object, tuple[bytes, int]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def scopes(self) -> frozenset[str]:
        """The scopes of all tags in the chunk."""
        return frozenset(tag.scope for change in self.changes if isinstance(change, JobChange) for tag in change.tags)


_JOB_COLUMNS: list[Any] = [null().label(f.name) if f.name == "meta_data" else tables.job.c[f.name] for f in fields(StoredJob)]
_NODE_COLUMNS: list[Any] = [tables.node.c[f.name] for f in fields(StoredNode)]


async def changes_between(engine: AsyncEngine, after: Progress, until: Progress, limit: int = CHUNK) -> AsyncIterator[Chunk]:
    """Chunks of up to ``limit`` changes, each read in its own transaction; none without changes.

    Changes after ``until`` are left out, although rows may already show them: they follow under their own sequence.
    Raises Unavailable.
    """
    async for rows, reached in _pages(engine, _some_jobs, after.events, until.events, limit):
        places = [replace(after, events=sequence) for sequence in reached]
        yield Chunk([row.change(place) for row, place in zip(rows, places, strict=True)], places[-1])
    after = replace(after, events=max(after.events, until.events))
    async for rows, reached in _pages(engine, _some_nodes, after.nodes, until.nodes, limit):
        places = [replace(after, nodes=sequence) for sequence in reached]
        yield Chunk([row.change(place) for row, place in zip(rows, places, strict=True)], places[-1])


@dataclass(frozen=True, slots=True)
class _Row:
    """``change`` builds the change from its ``resume``."""

    sequence: int
    id: int
    change: Callable[[Progress], Change]


@dataclass(frozen=True, slots=True)
class Span:
    """At most ``limit`` rows after (``sequence``, ``id``) up to ``until``; the id ``WHOLE`` is after all rows of the sequence."""

    sequence: int
    id: int
    until: int
    limit: int

    def holds(self, sequence: ColumnElement[int], key: ColumnElement[int]) -> list[ColumnElement[bool]]:
        if self.id == WHOLE:
            return [sequence > self.sequence, sequence <= self.until]
        return [sequence >= self.sequence, sequence <= self.until, or_(sequence > self.sequence, key > self.id)]


_RowsOf = Callable[[Span, Connection], list[_Row]]


async def _pages(engine: AsyncEngine, rows_of: _RowsOf, after: int, until: int, limit: int) -> AsyncIterator[tuple[list[_Row], list[int]]]:
    """Pages of rows by sequence and id, and for each row the sequence up to which all rows have been read.

    A page may end between rows that share a sequence, so one extra row is read to detect that.
    """
    span = Span(after, WHOLE, until, limit + 1)
    has_more = after < until
    while has_more:
        found = await read(engine, partial(rows_of, span))
        rows, following = found[:limit], [row.sequence for row in found[1:]]
        if not rows:
            return
        following += [0] * (len(rows) - len(following))
        yield rows, [row.sequence - (row.sequence == then) for row, then in zip(rows, following, strict=True)]
        has_more = len(found) > limit
        span = replace(span, sequence=rows[-1].sequence, id=rows[-1].id)


def jobs_statement(span: Span) -> Select[Any]:
    """Sequence and row of jobs, in order."""
    job = tables.job.c
    statement = select(job.changed_seq, *_JOB_COLUMNS).where(*span.holds(job.changed_seq, job.id))
    return statement.order_by(job.changed_seq, job.id).limit(span.limit)


def _some_jobs(span: Span, connection: Connection) -> list[_Row]:
    """Jobs with their tags, merged with deletions; no other row shares the sequence of a deletion."""
    gone = tables.job_deletion.c
    found = connection.execute(jobs_statement(span))
    jobs = [(sequence, StoredJob(*row)) for sequence, *row in found]
    tags = all_tags_of(connection, [stored.id for _, stored in jobs])
    rows = [_Row(sequence, stored.id, partial(JobChange, sequence, stored, tags.get(stored.id, ()))) for sequence, stored in jobs]
    deleted = select(gone.seq, gone.job, gone.cluster, gone.hpc_user, gone.project)
    deleted = deleted.where(gone.seq > span.sequence, gone.seq <= span.until).order_by(gone.seq).limit(span.limit)
    rows += [_Row(row[0], row[1], partial(JobDeletion, *row)) for row in connection.execute(deleted)]
    return sorted(rows, key=lambda row: (row.sequence, row.id))[: span.limit]


def _some_nodes(span: Span, connection: Connection) -> list[_Row]:
    node = tables.node.c
    statement = select(node.changed_seq, *_NODE_COLUMNS).where(*span.holds(node.changed_seq, node.id))
    found = connection.execute(statement.order_by(node.changed_seq, node.id).limit(span.limit))
    return [_Row(sequence, row[0], partial(NodeChange, sequence, StoredNode(*row))) for sequence, *row in found]
