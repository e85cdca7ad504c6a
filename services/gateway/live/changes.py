"""Changes in the database after a place in the log: jobs, deletions, nodes, ordered by sequence.

A row carries the sequence of its last change only. Changes that come between two readings therefore collapse into the
last state, and a row that changes while it is read is read again under its new sequence.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, null, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.jobs import StoredJob, StoredTag
from shared.database.reading import read
from shared.database.tables import tables
from shared.domain.values import INT64_MAX

CHUNK = 200
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([0-9a-z]{1,32})")
WHOLE = INT64_MAX  # larger than any id


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in both streams: everything up to ``events`` of EVENTS and ``nodes`` of NODES. ``build`` names the tables it counts in."""

    build: str
    events: int
    nodes: int

    def __str__(self) -> str:
        return f"{self.events}-{self.nodes}-{self.build}"

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        found = _CURSOR.fullmatch(text.strip())
        return cls(found[3], int(found[1]), int(found[2])) if found else None

    def is_reached_by(self, other: "Cursor") -> bool:
        """Whether this is the same set of tables, and neither stream is ahead of ``other``."""
        return self.build == other.build and self.events <= other.events and self.nodes <= other.nodes


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
    resume: Cursor
    texts: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class JobDeletion:
    sequence: int
    id: int
    cluster: str
    hpc_user: str
    project: str
    resume: Cursor
    texts: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NodeChange:
    sequence: int
    node: StoredNode
    resume: Cursor
    texts: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


# ``resume`` is where a reader goes on that has this change and all before it.
Change = JobChange | JobDeletion | NodeChange


def is_after(change: Change, cursor: Cursor) -> bool:
    return change.sequence > (cursor.nodes if isinstance(change, NodeChange) else cursor.events)


@dataclass(frozen=True)
class Chunk:
    """``end`` is where a reader of the whole chunk continues. ``texts`` caches renderings shared by viewers."""

    changes: Sequence[Change]
    end: Cursor
    texts: dict[object, tuple[bytes, int]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def scopes(self) -> frozenset[str]:
        """Of the tags in it."""
        return frozenset(tag.scope for change in self.changes if isinstance(change, JobChange) for tag in change.tags)


_JOB_COLUMNS: list[Any] = [null().label(f.name) if f.name == "meta_data" else tables.job.c[f.name] for f in fields(StoredJob)]
_NODE_COLUMNS: list[Any] = [tables.node.c[f.name] for f in fields(StoredNode)]


async def changes_between(engine: AsyncEngine, after: Cursor, until: Cursor, most: int = CHUNK) -> AsyncIterator[Chunk]:
    """Chunks of at most ``most`` changes, each read in a transaction of its own; nothing when there is none.

    Changes later than ``until`` are left out, although rows may show them already: they come under their own sequence.
    Raises Unavailable.
    """
    async for rows, reached in _pages(engine, _some_jobs, after.events, until.events, most):
        cursors = [replace(after, events=sequence) for sequence in reached]
        yield Chunk([row.change(cursor) for row, cursor in zip(rows, cursors, strict=True)], cursors[-1])
    after = replace(after, events=max(after.events, until.events))
    async for rows, reached in _pages(engine, _some_nodes, after.nodes, until.nodes, most):
        cursors = [replace(after, nodes=sequence) for sequence in reached]
        yield Chunk([row.change(cursor) for row, cursor in zip(rows, cursors, strict=True)], cursors[-1])


@dataclass(frozen=True, slots=True)
class _Row:
    """``change`` makes the change of the cursor that it ends at."""

    sequence: int
    id: int
    change: Callable[[Cursor], Change]


@dataclass(frozen=True, slots=True)
class Span:
    """At most ``most`` rows after (``sequence``, ``id``) up to ``until``; the id ``WHOLE`` is after all rows of the sequence."""

    sequence: int
    id: int
    until: int
    most: int

    def holds(self, sequence: ColumnElement[int], key: ColumnElement[int]) -> list[ColumnElement[bool]]:
        if self.id == WHOLE:
            return [sequence > self.sequence, sequence <= self.until]
        return [sequence >= self.sequence, sequence <= self.until, or_(sequence > self.sequence, key > self.id)]


_RowsOf = Callable[[Span, Connection], list[_Row]]


async def _pages(engine: AsyncEngine, rows_of: _RowsOf, after: int, until: int, most: int) -> AsyncIterator[tuple[list[_Row], list[int]]]:
    """Rows by sequence and id, and for each the sequence up to which everything was read by then.

    Many rows may share a sequence, and a page may end among them: one row more is read, to see that.
    """
    span = Span(after, WHOLE, until, most + 1)
    has_more = after < until
    while has_more:
        found = await read(engine, partial(rows_of, span))
        rows, following = found[:most], [row.sequence for row in found[1:]]
        if not rows:
            return
        following += [0] * (len(rows) - len(following))
        yield rows, [row.sequence - (row.sequence == then) for row, then in zip(rows, following, strict=True)]
        has_more = len(found) > most
        span = replace(span, sequence=rows[-1].sequence, id=rows[-1].id)


def jobs_statement(span: Span) -> Select[Any]:
    """Sequence and row of jobs, in order."""
    job = tables.job.c
    statement = select(job.changed_seq, *_JOB_COLUMNS).where(*span.holds(job.changed_seq, job.id))
    return statement.order_by(job.changed_seq, job.id).limit(span.most)


def _some_jobs(span: Span, connection: Connection) -> list[_Row]:
    """Jobs with their tags, merged with deletions; no other row shares the sequence of a deletion."""
    gone = tables.job_deletion.c
    found = connection.execute(jobs_statement(span))
    jobs = [(sequence, StoredJob(*row)) for sequence, *row in found]
    tags = _tags(connection, [stored.id for _, stored in jobs])
    rows = [_Row(sequence, stored.id, partial(JobChange, sequence, stored, tags.get(stored.id, ()))) for sequence, stored in jobs]
    deleted = select(gone.seq, gone.job, gone.cluster, gone.hpc_user, gone.project)
    deleted = deleted.where(gone.seq > span.sequence, gone.seq <= span.until).order_by(gone.seq).limit(span.most)
    rows += [_Row(row[0], row[1], partial(JobDeletion, *row)) for row in connection.execute(deleted)]
    return sorted(rows, key=lambda row: (row.sequence, row.id))[: span.most]


def _tags(connection: Connection, jobs: Sequence[int]) -> dict[int, list[StoredTag]]:
    tag, jobtag = tables.tag.c, tables.jobtag.c
    found: dict[int, list[StoredTag]] = {}
    if jobs:
        statement = (
            select(jobtag.job_id, tag.id, tag.tag_type, tag.tag_name, tag.tag_scope)
            .join(tables.tag, tag.id == jobtag.tag_id)
            .where(jobtag.job_id.in_(jobs))
            .order_by(jobtag.job_id, tag.id)
        )
        for key, *values in connection.execute(statement):
            found.setdefault(key, []).append(StoredTag(*values))
    return found


def _some_nodes(span: Span, connection: Connection) -> list[_Row]:
    node = tables.node.c
    statement = select(node.changed_seq, *_NODE_COLUMNS).where(*span.holds(node.changed_seq, node.id))
    found = connection.execute(statement.order_by(node.changed_seq, node.id).limit(span.most))
    return [_Row(sequence, row[0], partial(NodeChange, sequence, StoredNode(*row))) for sequence, *row in found]
