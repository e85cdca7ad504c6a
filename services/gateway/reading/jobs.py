"""Reads jobs: pages in a stable order, single jobs, their tags and the accounts of their users. No query runs once per job."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, func, literal, null, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.people.identity import User
from services.gateway.reading.concurrent import PERIODS_AT_ONCE, Period, note_overlaps, overlapping
from services.gateway.reading.distribution import Axis, Distribution, DistributionQuestion
from services.gateway.reading.filters import conditions, is_running, selection, visible_to
from services.gateway.reading.model import FoundJobs, JobFilter, JobSelection, Order, Person, Range, Slice, StoredJob, StoredTag
from services.gateway.reading.routing import (
    DEEP,
    DEEP_WITH_ID,
    Columns,
    ColumnsAway,
    Question,
    Steps,
    ask_database,
    database_counts,
    database_pages,
)
from services.gateway.reading.source import Source
from services.gateway.reading.statistics import Statistics, StatisticsGroup, StatisticsQuery
from services.gateway.reading.timeline import Timeline, TimelineBin, TimelineQuery
from shared.database.dialects import dialect_of
from shared.database.engine import read
from shared.database.sql import Prepared, list_parameter, one_of, rows
from shared.database.tables import hpc_user, tables
from shared.domain.values import INT64_MAX, JobState

T = TypeVar("T")
FAR = 1000  # beyond this offset a page is found by ids first, and its rows are read afterwards
job, tag, jobtag = tables.job.c, tables.tag.c, tables.jobtag.c


def shown_duration(job: Any, now: float) -> int:
    """Duration in seconds, up to ``now`` for a running job; at least 0. ``job`` has the columns start_time, duration and job_state."""
    return max(int(now) - job.start_time, 0) if job.job_state == JobState.RUNNING else int(job.duration)


_COLUMNS: list[Any] = [tables.job.c[f.name] for f in fields(StoredJob)]
_COLUMNS_WITHOUT_METADATA: list[Any] = [null().label("meta_data") if c.name == "meta_data" else c for c in _COLUMNS]


class JobQueries:
    """All reads of jobs. Every method raises Unavailable when the database cannot be reached."""

    def __init__(
        self,
        engine: AsyncEngine,
        chunk_rows: int,
        clock: Callable[[], float] = time.time,
        columns: Columns | None = None,
        first_id: int = 1,
    ) -> None:
        """Without ``columns`` the database answers everything. Ids below ``first_id`` are those of the former database."""
        self._engine = engine
        self._chunk_rows = chunk_rows
        self._clock = clock
        self._columns = columns
        self._first_id = first_id
        self._deep = DEEP_WITH_ID if dialect_of(engine).has_id_in_each_index else DEEP

    async def _ask(self, question: Question[T], *, database: bool = False) -> T:
        """``database`` bypasses the columns, because an index of the database serves the question."""
        if self._columns is not None and not database:
            with suppress(ColumnsAway):
                return await self._columns.ask(question)
        return await ask_database(self._engine, question)

    # any filters, any order

    async def select(self, user: User, where: Sequence[JobFilter], order: Order, piece: Slice) -> list[int]:
        """The ids of the jobs that match every filter, in order."""

        def question(source: Source) -> Steps[list[int]]:
            found = yield selection(user, where, order, piece, source)
            return [key for (key,) in found]

        return await self._ask(question, database=database_pages(user, where, order, piece, self._deep))

    async def jobs(self, user: User, keys: Sequence[int], wanted: JobSelection) -> FoundJobs[Any]:
        """Jobs in the order of ``keys``; deleted ones are omitted."""

        def found(connection: Connection) -> FoundJobs[Any]:
            by_key: dict[int, Any] = {}
            for first in range(0, len(keys), self._chunk_rows):
                statement = select(*_columns(wanted.columns)).where(job.id.in_(keys[first : first + self._chunk_rows]))
                by_key.update((row.id, row) for row in rows(connection, statement))
            return self._with_surroundings(connection, user, [by_key[key] for key in keys if key in by_key], wanted)

        return await read(self._engine, found)

    async def page(self, user: User, where: Sequence[JobFilter], order: Order, piece: Slice, wanted: JobSelection) -> FoundJobs[Any]:
        """``select`` and ``jobs`` in one call; reads one extra job to know whether another page exists."""
        limit = piece.limit
        wider = piece if limit is None else replace(piece, limit=limit + 1)
        is_near = limit is not None and limit < self._chunk_rows and piece.first <= FAR
        if not is_near or not database_pages(user, where, order, piece, self._deep):
            keys = await self.select(user, where, order, wider)
            return replace(await self.jobs(user, keys[:limit], wanted), has_more=limit is not None and len(keys) > limit)

        def found(connection: Connection) -> FoundJobs[Any]:
            several = rows(connection, selection(user, where, order, wider).with_only_columns(*_columns(wanted.columns)))
            page = self._with_surroundings(connection, user, several[:limit], wanted)
            return replace(page, has_more=limit is not None and len(several) > limit)

        return await read(self._engine, found)

    def _with_surroundings(self, connection: Connection, user: User, jobs: Sequence[Any], wanted: JobSelection) -> FoundJobs[Any]:
        """Read tags and accounts of all rows, in batches."""
        tags: dict[int, list[StoredTag]] = {}
        if wanted.tags:
            for first in range(0, len(jobs), self._chunk_rows):
                tags |= _tags_of(connection, user, [row.id for row in jobs[first : first + self._chunk_rows]])
        owners = accounts(connection, {row.hpc_user for row in jobs if wanted.owners(row.hpc_user)}) if wanted.owners else {}
        return FoundJobs(jobs, tags, owners)

    async def count(self, user: User, where: Sequence[JobFilter]) -> int:
        def question(source: Source) -> Steps[int]:
            ((found,),) = yield select(func.count()).select_from(source.job).where(conditions(user, where, source))
            return int(found)

        return await self._ask(question, database=database_counts(user, where))

    async def concurrent(self, user: User, jobs: Sequence[Any]) -> dict[int, list[tuple[int, int]]]:
        """For each job the (id, job_id) of the jobs that shared a host with it long enough, in the order of ``overlapping``.

        A job with exclusive nodes, or shorter than ten minutes, has no entry. ``jobs`` have the columns ``CONCURRENT_COLUMNS``.
        """
        now = int(self._clock())
        looked_at = [period for row in jobs if (period := Period.of(row, now)).may_share]

        def question(source: Source) -> Steps[dict[int, list[tuple[int, int]]]]:
            found: dict[int, list[tuple[int, int]]] = {period.id: [] for period in looked_at}
            for first in range(0, len(looked_at), PERIODS_AT_ONCE):
                part = looked_at[first : first + PERIODS_AT_ONCE]
                others = yield overlapping(user, part, source)
                note_overlaps(found, part, others, now)
            return found

        return await self._ask(question, database=not looked_at)

    async def statistics(self, user: User, where: Sequence[JobFilter], wanted: StatisticsQuery, now: int) -> list[StatisticsGroup]:
        """One result for all jobs, or one per group; durations of running jobs end at ``now`` (Unix seconds)."""
        return await self._ask(Statistics(user, where, wanted, now).answer)

    async def timeline(self, user: User, where: Sequence[JobFilter], wanted: TimelineQuery, now: int) -> list[TimelineBin]:
        """Totals by the time of the start; ``now`` as in ``statistics``. Raises RequestError (400) when there are too many buckets."""
        return await self._ask(Timeline(user, where, wanted, now).answer)

    async def distribution(self, user: User, where: Sequence[JobFilter], axes: Sequence[Axis], now: int) -> Distribution:
        """Jobs by one or two of their values; ``now`` as in ``statistics``. Raises RequestError (400) for edges that coincide."""
        return await self._ask(DistributionQuestion(user, where, axes, now).answer)

    async def partitions(self) -> dict[str, list[str]]:
        """Partitions of all jobs by cluster, sorted."""

        def question(source: Source) -> Steps[list[tuple[str, str | None]]]:
            found = yield select(source.job.c.cluster, source.job.c.cluster_partition).distinct()
            return [(cluster, partition) for cluster, partition in found]

        partitions: dict[str, list[str]] = {}
        for cluster, partition in sorted((c, p) for c, p in await self._ask(question) if p):
            partitions.setdefault(cluster, []).append(partition)
        return partitions

    async def allocated_nodes(self, cluster: str) -> dict[str, int]:
        """The number of hosts with running jobs, by subcluster."""
        # No condition on the cluster: its index would be chosen over the one of running jobs.
        statement = select(job.cluster, job.subcluster, job.hosts).where(is_running())

        def allocated(connection: Connection) -> dict[str, int]:
            hosts: dict[str, set[str]] = {}
            for of_cluster, subcluster, names in connection.execute(statement):
                if of_cluster == cluster:
                    hosts.setdefault(subcluster, set()).update(names.split())
            return {subcluster: len(names) for subcluster, names in sorted(hosts.items())}

        return await read(self._engine, allocated)

    # single jobs, and whole lists in the default order

    async def pages(
        self, user: User, wanted: JobFilter, piece: Slice, *, with_metadata: bool = False
    ) -> AsyncIterator[FoundJobs[StoredJob]]:
        """The jobs of one page, newest start first, in chunks; each chunk is read in its own transaction.

        Each further chunk continues after the last job seen, so that jobs that are added or deleted meanwhile
        cause no repeats and no gaps, and the cost of a chunk does not grow with its offset.
        """
        left = INT64_MAX if piece.limit is None else piece.limit
        after: tuple[ColumnElement[bool], ...] | None = None
        statement = page_statement(user, wanted, with_metadata=with_metadata)
        if piece.first > INT64_MAX:
            return
        while left > 0:
            size = min(left, self._chunk_rows)
            chunk = statement.limit(size)
            chunk = chunk.offset(piece.first) if after is None else chunk.where(*after)
            rows = await self._rows(user, chunk)
            if rows.jobs:
                yield rows
            if len(rows.jobs) < size:
                return
            left -= size
            last = rows.jobs[-1]
            # The first condition repeats a part of the second, from which some engines derive no range of an index.
            place = tuple_(literal(last.start_time), literal(last.id))
            after = job.start_time <= last.start_time, tuple_(job.start_time, job.id) < place

    async def current_id(self, key: int) -> int:
        """The id of the job that had the id ``key`` in the former database; ``key`` itself if a job here has it, or none had it there."""
        if not 0 <= key < self._first_id:
            return key
        found = await self._all(union_all(select(job.id).where(job.id == key), select(job.id).where(job.former_id == key)))
        ids = {id_ for (id_,) in found}
        return key if key in ids else max(ids, default=key)

    async def by_id(self, user: User, key: int) -> FoundJobs[StoredJob] | None:
        return await self._one(user, job.id == key)

    async def newest(self, user: User, wanted: JobFilter) -> FoundJobs[StoredJob] | None:
        """The job with the highest id among those that match."""
        return await self._one(user, conditions(user, [wanted]))

    async def _one(self, user: User, condition: ColumnElement[bool]) -> FoundJobs[StoredJob] | None:
        rows = await self._rows(user, select(*_COLUMNS).where(condition, visible_to(user)).order_by(job.id.desc()).limit(1))
        return rows if rows.jobs else None

    async def _rows(self, user: User, statement: Select[Any]) -> FoundJobs[StoredJob]:
        def found(connection: Connection) -> FoundJobs[StoredJob]:
            jobs = [StoredJob(*row) for row in rows(connection, statement)]
            return FoundJobs(jobs, _tags_of(connection, user, [stored.id for stored in jobs]))

        return await read(self._engine, found)

    async def _all(self, statement: Select[Any] | CompoundSelect[*tuple[Any, ...]]) -> Sequence[Any]:
        return await read(self._engine, lambda connection: connection.execute(statement).all())

    async def keys(self, user: User, wanted: JobFilter) -> AsyncIterator[list[tuple[int, str]]]:
        """Id and cluster of every job that matches, in chunks, by id."""
        last = 0
        while True:
            statement = select(job.id, job.cluster).where(conditions(user, [wanted]), job.id > last)
            found = [(key, cluster) for key, cluster in await self._all(statement.order_by(job.id).limit(self._chunk_rows))]
            if found:
                yield found
                last = found[-1][0]
            if len(found) < self._chunk_rows:
                return

    async def missing_tags(self, keys: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        """The given (type, name, scope) keys for which there is no tag, in order."""
        identity = tuple_(tag.tag_type, tag.tag_name, tag.tag_scope)
        found = {tuple(row) for row in await self._all(select(tag.tag_type, tag.tag_name, tag.tag_scope).where(identity.in_(keys)))}
        return [key for key in keys if key not in found]

    async def used_nodes(self, user: User, before: int) -> dict[str, list[str]]:
        """Sorted hosts, by cluster, of the running jobs that started before ``before`` (Unix seconds)."""
        used: dict[str, set[str]] = {}
        running = JobFilter(states=(JobState.RUNNING,), start_time=Range(most=before - 1))
        last = 0
        while True:
            statement = select(job.id, job.cluster, job.resources).where(conditions(user, [running]), job.id > last)
            found = await self._all(statement.order_by(job.id).limit(self._chunk_rows))
            for _, cluster, resources in found:
                used.setdefault(cluster, set()).update(resource["hostname"] for resource in orjson.loads(resources))
            if len(found) < self._chunk_rows:
                return {cluster: sorted(used[cluster]) for cluster in sorted(used)}
            last = found[-1][0]


def _columns(names: Collection[str]) -> list[ColumnElement[Any]]:
    return [job.id, *(tables.job.c[name] for name in names if name != "id")]


def page_statement(user: User, wanted: JobFilter, *, with_metadata: bool) -> Select[Any]:
    """All jobs that match, newest start first; ties by id."""
    columns = _COLUMNS if with_metadata else _COLUMNS_WITHOUT_METADATA
    return select(*columns).where(conditions(user, [wanted])).order_by(job.start_time.desc(), job.id.desc())


def _tags_of(connection: Connection, user: User, keys: Sequence[int]) -> dict[int, list[StoredTag]]:
    """Tags that the user may read, by job; jobs without tags are absent."""
    scopes = [scope for scope in user.readable_scopes if "\0" not in scope]  # PostgreSQL rejects NUL
    return _by_job(TAGS.rows(connection, jobs=list(keys), scopes=scopes)) if keys else {}


def all_tags_of(connection: Connection, keys: Sequence[int]) -> dict[int, list[StoredTag]]:
    """Tags of every scope, by job; jobs without tags are absent."""
    return _by_job(_ALL_TAGS.rows(connection, jobs=list(keys))) if keys else {}


def _by_job(rows: Sequence[Any]) -> dict[int, list[StoredTag]]:
    tags: dict[int, list[StoredTag]] = {}
    for key, *values in rows:
        tags.setdefault(key, []).append(StoredTag(*values))
    return tags


_TAGS_OF_JOBS = (
    select(jobtag.job_id, tag.id, tag.tag_type, tag.tag_name, tag.tag_scope)
    .join(tables.tag, tag.id == jobtag.tag_id)
    .where(one_of(jobtag.job_id, list_parameter("jobs", jobtag.job_id)))
    .order_by(jobtag.job_id, tag.id)
)
_ALL_TAGS = Prepared(_TAGS_OF_JOBS)
TAGS = Prepared(_TAGS_OF_JOBS.where(one_of(tag.tag_scope, list_parameter("scopes", tag.tag_scope))))


def accounts(connection: Connection, names: Collection[str]) -> dict[str, Person]:
    """Accounts by user name; users without one are absent."""
    wanted = [name for name in names if "\0" not in name]
    found = _PEOPLE.rows(connection, names=wanted) if wanted else ()
    return {username: Person(username, name or "", email or "") for username, name, email in found}


_username = hpc_user.c.username
_PEOPLE = Prepared(select(_username, hpc_user.c.name, hpc_user.c.email).where(one_of(_username, list_parameter("names", _username))))
