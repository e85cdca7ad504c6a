"""Database queries of the archiver."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import RowMapping, and_, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.archiver.schedule import RunningJob
from shared.archive import JobPath
from shared.database.engine import transaction
from shared.database.progress import Progress, progress, progress_of
from shared.database.sql import is_running, waits_for_archive
from shared.database.tables import tables
from shared.domain.events import APPLICATION_TAG_TYPE, JobStopped, Tag
from shared.domain.values import MONITORING_DISABLED, JobState

_IS_RUNNING = is_running(tables.job.c.job_state)
_MEASURING_COLUMNS = [
    tables.job.c[name]
    for name in (
        *("id", "subcluster", "start_time", "resources", "num_nodes", "num_acc", "footprint", "energy", "energy_footprint"),
        *("job_state", "shared", "walltime", "requested_memory", "cluster_partition", "num_hwthreads", "smt", "advice"),
    )
]
_JOB_COLUMNS = [column for column in tables.job.c if column.name != "is_overdue"]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A row of ``job`` with its tags as pairs of tag id and tag."""

    row: Mapping[str, Any]
    tags: Sequence[tuple[int, Tag]]

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def changed_seq(self) -> int:
        return int(self.row["changed_seq"])

    @property
    def cluster(self) -> str:
        return str(self.row["cluster"])

    @property
    def monitoring_status(self) -> int:
        return int(self.row["monitoring_status"])

    @property
    def is_running(self) -> bool:
        return bool(self.row["job_state"] == JobState.RUNNING)

    @property
    def path(self) -> JobPath:
        return JobPath(self.cluster, int(self.row["job_id"]), int(self.row["start_time"]))


@dataclass(frozen=True, slots=True)
class Found:
    """Jobs by the sequence of the stop that ended them, sequences of parked stops, and jobs by id."""

    by_stop: Mapping[int, JobRecord]
    parked: frozenset[int]
    by_id: Mapping[int, JobRecord]


@dataclass(frozen=True, slots=True)
class WaitingJob:
    stop_seq: int
    id: int
    cluster: str


@dataclass(frozen=True, slots=True)
class StartedJob:
    """``metadata`` is the column; ``applications`` are those that the job is tagged with."""

    id: int
    cluster: str
    metadata: str | None
    applications: frozenset[str]


class JobReader:
    """Read-only queries. All raise Unavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def progress(self) -> Progress:
        """Raises Unavailable."""
        return await progress_of(self._engine)

    async def find(self, stops: Mapping[int, JobStopped], ids: Sequence[int], *, through: int, stream_created: str) -> Found | None:
        """Look up the jobs of many events at once. ``stops`` are keyed by sequence.

        None unless jobstore has passed the sequence ``through`` in that log, before and after the rows are read: while a
        database is replaced by an older dump, a missing row does not mean that a stop was refused.
        """
        job, parked_stop = tables.job, tables.parked_stop
        async with transaction(self._engine) as connection:
            if not (await connection.run_sync(progress)).has_applied(through, stream_created):
                return None
            parked: set[int] = set()
            rows: list[RowMapping] = []
            if stops:
                # Parked stops first: a stop applied between the two queries is then found as a job instead of being missed.
                query = select(parked_stop.c.seq).where(parked_stop.c.seq.in_(list(stops)))
                parked = set((await connection.execute(query)).scalars())
                # The scheduler's id is the first column of the identity index.
                by_stop = and_(job.c.job_id.in_({stop.job_id for stop in stops.values()}), job.c.stop_seq.in_(list(stops)))
                rows += (await connection.execute(select(*_JOB_COLUMNS).where(by_stop))).mappings().all()
            if ids:
                rows += (await connection.execute(select(*_JOB_COLUMNS).where(job.c.id.in_(ids)))).mappings().all()
            records = await self._records(connection, rows)
            if not (await connection.run_sync(progress)).has_applied(through, stream_created):
                return None
        return Found(
            by_stop={int(record.row["stop_seq"]): record for record in records.values() if record.row["stop_seq"] is not None},
            parked=frozenset(parked),
            by_id=records,
        )

    async def by_id(self, ids: Sequence[int]) -> dict[int, JobRecord]:
        """The jobs that exist."""
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(select(*_JOB_COLUMNS).where(tables.job.c.id.in_(ids)))).mappings().all()
            return await self._records(connection, rows)

    async def by_path(self, paths: Sequence[JobPath]) -> list[JobRecord]:
        """The jobs with these identities that have ended."""
        job = tables.job.c
        query = select(*_JOB_COLUMNS).where(job.job_id.in_({path.job_id for path in paths}))
        wanted = set(paths)
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).mappings().all()
            records = await self._records(connection, [row for row in rows if JobRecord(dict(row), ()).path in wanted])
        return [record for record in records.values() if not record.is_running]

    async def changed_since(self, after: tuple[int, int], *, limit: int) -> list[JobRecord]:
        """Up to ``limit`` jobs with (changed_seq, id) greater than ``after``, in that order."""
        job = tables.job.c
        query = select(*_JOB_COLUMNS).where(job.changed_seq >= after[0], tuple_(job.changed_seq, job.id) > tuple_(*map(literal, after)))
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query.order_by(job.changed_seq, job.id).limit(limit))).mappings().all()
            records = await self._records(connection, rows)
        return [records[int(row["id"])] for row in rows]

    async def waiting(self, after: tuple[int, int], *, before: int, limit: int) -> list[WaitingJob]:
        """Up to ``limit`` jobs that wait to be archived, stopped before the sequence ``before``, with (stop_seq, id) above ``after``."""
        job = tables.job.c
        query = select(job.stop_seq, job.id, job.cluster).where(
            waits_for_archive(job.monitoring_status, job.job_state),
            job.stop_seq >= after[0],
            job.stop_seq < before,
            tuple_(job.stop_seq, job.id) > tuple_(*map(literal, after)),
        )
        async with transaction(self._engine) as connection:
            rows = await connection.execute(query.order_by(job.stop_seq, job.id).limit(limit))
            return [WaitingJob(int(stop_seq), int(id_), str(cluster)) for stop_seq, id_, cluster in rows]

    async def running(self, cluster: str, started_before: int) -> list[RunningJob]:
        """The monitored running jobs that started before ``started_before``, by ascending id."""
        job = tables.job.c
        # The other conditions are checked in Python: with them SQLite scans all jobs of the cluster.
        query = select(job.id, job.cluster, job.start_time, job.monitoring_status).where(_IS_RUNNING)
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        found = [RunningJob(id_, start) for id_, of, start, status in rows if of == cluster and status != MONITORING_DISABLED]
        return sorted((job for job in found if job.start_time < started_before), key=attrgetter("id"))

    async def needed_since(self) -> dict[str, int]:
        """The start of the earliest monitored job that runs or waits to be archived, by cluster."""
        job = tables.job.c
        running = select(job.cluster, job.start_time, job.monitoring_status).where(_IS_RUNNING)
        # The minimum is computed in Python: with GROUP BY SQLite scans all jobs by the index of clusters.
        waiting = select(job.cluster, job.start_time).where(waits_for_archive(job.monitoring_status, job.job_state))
        found: dict[str, int] = {}
        async with transaction(self._engine) as connection:
            starts = [(cluster, start) for cluster, start, status in await connection.execute(running) if status != MONITORING_DISABLED]
            starts += [(cluster, start) for cluster, start in await connection.execute(waiting)]
        for cluster, start in starts:
            found[cluster] = min(start, found.get(cluster, start))
        return found

    async def still_running(self, ids: Sequence[int]) -> list[Mapping[str, Any]]:
        """Those of the jobs that are running, by ascending id, with the columns needed to measure them."""
        job = tables.job.c
        query = select(*_MEASURING_COLUMNS).where(job.id.in_(ids), _IS_RUNNING).order_by(job.id)
        async with transaction(self._engine) as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def started(self, after: int, *, limit: int) -> list[StartedJob]:
        """Up to ``limit`` running jobs with ids greater than ``after``, ascending."""
        job = tables.job.c
        # Filtered and sorted in Python: with a condition on the id or an order SQLite scans all jobs by id.
        running = select(job.id, job.cluster).where(_IS_RUNNING)
        async with transaction(self._engine) as connection:
            later = ((id_, cluster) for id_, cluster in await connection.execute(running) if id_ > after)
            clusters = dict(heapq.nsmallest(limit, later))
            if not clusters:
                return []
            scripts = select(job.id, job.meta_data).where(job.id.in_(clusters))
            metadata = {row.id: row.meta_data for row in await connection.execute(scripts)}
            tags = await self._tags(connection, set(clusters))
        applications = {id_: frozenset(tag.name for _, tag in found if tag.type == APPLICATION_TAG_TYPE) for id_, found in tags.items()}
        return [StartedJob(id_, cluster, metadata.get(id_), applications.get(id_, frozenset())) for id_, cluster in clusters.items()]

    async def _records(self, connection: AsyncConnection, rows: Sequence[RowMapping]) -> dict[int, JobRecord]:
        tags = await self._tags(connection, {int(row["id"]) for row in rows}) if rows else {}
        return {int(row["id"]): JobRecord(dict(row), tags.get(int(row["id"]), ())) for row in rows}

    @staticmethod
    async def _tags(connection: Any, ids: set[int]) -> dict[int, list[tuple[int, Tag]]]:
        tag, jobtag = tables.tag, tables.jobtag
        query = (
            select(jobtag.c.job_id, tag.c.id, tag.c.tag_type, tag.c.tag_name, tag.c.tag_scope)
            .join(tag, tag.c.id == jobtag.c.tag_id)
            .where(jobtag.c.job_id.in_(ids))
        )
        found: dict[int, list[tuple[int, Tag]]] = {}
        for job_id, tag_id, type_, name, scope in await connection.execute(query):
            found.setdefault(job_id, []).append((tag_id, Tag(type=type_, name=name, scope=scope)))
        return found
