"""Reads jobs: pages in a stable order, single jobs, tags. No query runs once per job."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Text, bindparam, func, literal, null, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.people.identity import User
from services.gateway.reading.concurrent import PERIODS_AT_ONCE, Period, note_overlaps, overlapping
from services.gateway.reading.filters import conditions, is_running, selection, visible_to
from services.gateway.reading.model import JobFilter, Order, Range, Slice
from services.gateway.reading.people import Person, accounts
from services.gateway.reading.prepared import Prepared, is_one_of
from services.gateway.reading.questions import Columns, ColumnsAway, Question, Steps, ask_database
from services.gateway.reading.routing import DEEP, DEEP_WITH_ID, database_counts, database_pages
from services.gateway.reading.rows import rows
from services.gateway.reading.source import Source
from services.gateway.reading.statistics import Statistics, StatisticsGroup, StatisticsWanted
from shared.database.reading import read
from shared.database.tables import tables
from shared.domain.values import INT64_MAX, JobState

T = TypeVar("T")
FAR = 1000  # pages after this many jobs are located by ids alone, in an index
job, tag, jobtag = tables.job.c, tables.tag.c, tables.jobtag.c


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A row of ``job``. JSON columns are undecoded text; fields have the names of the columns."""

    id: int
    job_id: int
    cluster: str
    subcluster: str
    start_time: int
    hpc_user: str
    project: str
    cluster_partition: str | None
    array_job_id: int | None
    duration: int
    walltime: int
    job_state: str
    resources: str
    num_nodes: int
    num_hwthreads: int | None
    num_acc: int | None
    smt: int
    shared: str
    monitoring_status: int
    energy: float
    energy_footprint: str | None
    footprint: str | None
    statistics: str | None
    meta_data: str | None


def shown_duration(job: Any, now: float) -> int:
    """Duration in seconds, up to ``now`` for a running job; at least 0. ``job`` has the columns start_time, duration and job_state."""
    return max(int(now) - job.start_time, 0) if job.job_state == JobState.RUNNING else int(job.duration)


@dataclass(frozen=True, slots=True)
class StoredTag:
    id: int
    type: str
    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class Page:
    """``first`` counts from 0; ``most`` may exceed what fits in memory."""

    most: int
    first: int = 0
    with_metadata: bool = False


@dataclass(frozen=True, slots=True)
class JobRows:
    """Jobs, with the tags that the user may read."""

    jobs: Sequence[StoredJob]
    tags: dict[int, list[StoredTag]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobsWanted:
    """``columns`` of ``job`` to read. ``owners`` names whose accounts are read as well."""

    columns: Collection[str]
    tags: bool = False
    owners: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class FoundJobs:
    """``rows`` have attributes named as the columns, with the id. Tags by job, and accounts by name, where there are any.

    ``has_more``: there are jobs behind those of a page.
    """

    rows: Sequence[Any]
    tags: dict[int, list[StoredTag]]
    owners: dict[str, Person]
    has_more: bool = False


_COLUMNS: list[Any] = [tables.job.c[f.name] for f in fields(StoredJob)]
_COLUMNS_WITHOUT_METADATA: list[Any] = [null().label("meta_data") if c.name == "meta_data" else c for c in _COLUMNS]


class JobQueries:
    """All reads of jobs. Every method raises Unavailable when the database is away."""

    def __init__(
        self, engine: AsyncEngine, chunk_rows: int, clock: Callable[[], float] = time.time, columns: Columns | None = None
    ) -> None:
        """Without ``columns`` the database answers everything."""
        self._engine = engine
        self._chunk_rows = chunk_rows
        self._clock = clock
        self._columns = columns
        self._deep = DEEP_WITH_ID if engine.dialect.name == "sqlite" else DEEP

    async def _ask(self, question: Question[T], *, database: bool = False) -> T:
        """``database``: an index of the database answers this directly."""
        if self._columns is not None and not database:
            with suppress(ColumnsAway):
                return await self._columns.ask(question)
        return await ask_database(self._engine, question)

    # any filters, any order

    async def select(self, user: User, where: Sequence[JobFilter], order: Order, piece: Slice) -> list[int]:
        """The ids of the jobs that meet all of ``where``, in order."""

        def question(source: Source) -> Steps[list[int]]:
            found = yield selection(user, where, order, piece, source)
            return [key for (key,) in found]

        return await self._ask(question, database=database_pages(user, where, order, piece, self._deep))

    async def jobs(self, user: User, keys: Sequence[int], wanted: JobsWanted) -> FoundJobs:
        """Jobs in the order of ``keys``; deleted ones are omitted."""

        def found(connection: Connection) -> FoundJobs:
            by_key: dict[int, Any] = {}
            for first in range(0, len(keys), self._chunk_rows):
                statement = select(*_columns(wanted.columns)).where(job.id.in_(keys[first : first + self._chunk_rows]))
                by_key.update((row.id, row) for row in rows(connection, statement))
            return self._with_surroundings(connection, user, [by_key[key] for key in keys if key in by_key], wanted)

        return await read(self._engine, found)

    async def page(self, user: User, where: Sequence[JobFilter], order: Order, piece: Slice, wanted: JobsWanted) -> FoundJobs:
        """``select`` and ``jobs`` in one step; reads one extra job to know whether another page exists."""
        most = piece.most
        wider = piece if most is None else replace(piece, most=most + 1)
        is_near = most is not None and most < self._chunk_rows and piece.first <= FAR
        if not is_near or not database_pages(user, where, order, piece, self._deep):
            keys = await self.select(user, where, order, wider)
            return replace(await self.jobs(user, keys[:most], wanted), has_more=most is not None and len(keys) > most)

        def found(connection: Connection) -> FoundJobs:
            several = rows(connection, selection(user, where, order, wider).with_only_columns(*_columns(wanted.columns)))
            page = self._with_surroundings(connection, user, several[:most], wanted)
            return replace(page, has_more=most is not None and len(several) > most)

        return await read(self._engine, found)

    def _with_surroundings(self, connection: Connection, user: User, jobs: Sequence[Any], wanted: JobsWanted) -> FoundJobs:
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
        """By job, id and job_id of the jobs that shared a host with it for a while, in the order of ``overlapping``.

        A job that had its nodes alone, or took less than ten minutes, has no entry. ``jobs`` have the columns ``CONCURRENT_COLUMNS``.
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

    async def statistics(self, user: User, where: Sequence[JobFilter], wanted: StatisticsWanted, now: int) -> list[StatisticsGroup]:
        """One result for all jobs, or one per group; durations of running jobs end at ``now`` (Unix seconds)."""
        return await self._ask(Statistics(user, where, wanted, now).answer)

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

    # of one job, and whole lists in the default order

    async def pages(self, user: User, wanted: JobFilter, page: Page) -> AsyncIterator[JobRows]:
        """The jobs of one page, newest start first, in chunks; each chunk is read in its own transaction.

        After the first chunk it goes on from the last job seen, so that jobs that come or go meanwhile
        neither repeat nor hide others, and the cost of a chunk does not grow with its place.
        """
        left, after = page.most, None
        statement = page_statement(user, wanted, with_metadata=page.with_metadata)
        if page.first > INT64_MAX:
            return
        while left > 0:
            size = min(left, self._chunk_rows)
            chunk = statement.limit(size)
            chunk = chunk.offset(page.first) if after is None else chunk.where(tuple_(job.start_time, job.id) < after)
            rows = await self._rows(user, chunk)
            if rows.jobs:
                yield rows
            if len(rows.jobs) < size:
                return
            left -= size
            last = rows.jobs[-1]
            after = tuple_(literal(last.start_time), literal(last.id))

    async def by_id(self, user: User, key: int) -> JobRows | None:
        return await self._one(user, job.id == key)

    async def newest(self, user: User, wanted: JobFilter) -> JobRows | None:
        """The job with the highest id among those that match."""
        return await self._one(user, conditions(user, [wanted]))

    async def _one(self, user: User, condition: ColumnElement[bool]) -> JobRows | None:
        rows = await self._rows(user, select(*_COLUMNS).where(condition, visible_to(user)).order_by(job.id.desc()).limit(1))
        return rows if rows.jobs else None

    async def _rows(self, user: User, statement: Select[Any]) -> JobRows:
        def found(connection: Connection) -> JobRows:
            jobs = [StoredJob(*row) for row in rows(connection, statement)]
            return JobRows(jobs, _tags_of(connection, user, [stored.id for stored in jobs]))

        return await read(self._engine, found)

    async def _all(self, statement: Select[Any]) -> Sequence[Any]:
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
        """The given (type, name, scope) keys that are not tags, in order."""
        identity = tuple_(tag.tag_type, tag.tag_name, tag.tag_scope)
        found = {tuple(row) for row in await self._all(select(tag.tag_type, tag.tag_name, tag.tag_scope).where(identity.in_(keys)))}
        return [key for key in keys if key not in found]

    async def used_nodes(self, user: User, before: int) -> dict[str, list[str]]:
        """Host names by cluster of the running jobs that started before a time, sorted."""
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
    tags: dict[int, list[StoredTag]] = {}
    scopes = [scope for scope in user.readable_scopes if "\0" not in scope]  # PostgreSQL rejects NUL
    if keys:
        for key, *values in TAGS.rows(connection, jobs=list(keys), scopes=scopes):
            tags.setdefault(key, []).append(StoredTag(*values))
    return tags


TAGS = Prepared(
    select(jobtag.job_id, tag.id, tag.tag_type, tag.tag_name, tag.tag_scope)
    .join(tables.tag, tag.id == jobtag.tag_id)
    .where(is_one_of(jobtag.job_id, bindparam("jobs", type_=Text())), is_one_of(tag.tag_scope, bindparam("scopes", type_=Text())))
    .order_by(jobtag.job_id, tag.id)
)
