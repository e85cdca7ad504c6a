"""Fills a second set of tables with state whose events have expired: from the archive, else from the tables in use."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import Table, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.jobstore.appliers.nodes import NODES_PER_EVENT, NOT_CHECKED
from services.jobstore.projection import Applier
from services.jobstore.rules.unit_of_work import TAGS_PER_EVENT
from services.jobstore.sql import insert_or_ignore, write_rows
from shared.broker.streams import EVENTS, REJECTIONS
from shared.database.engine import run, transaction
from shared.database.sql import one_of
from shared.database.tables import ProjectionTables, tables
from shared.domain.events import JobImported
from shared.domain.recorded import Recorded
from shared.domain.values import MONITORING_DISABLED, MONITORING_OPEN, JobState

log = structlog.get_logger()

PAGE = 5000  # rows read from a table at a time
ARCHIVE_PAGE = 500  # archived jobs in memory at a time, with their statistics
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ArchivedJob:
    """A job of the archive. ``id`` is its database id if the entry has one; the id of a stored row of the same job takes precedence."""

    id: int | None
    event: JobImported


class JobSeeds:
    """Copies jobs from events before ``first``, with their dependent rows, page by page so that concurrent writers wait only briefly."""

    def __init__(self, engine: AsyncEngine, new: ProjectionTables, applier: Applier, first: int) -> None:
        self._engine = engine
        self._new = new
        self._applier = applier
        self._first = first

    async def put(self, archived: Iterable[ArchivedJob]) -> None:
        """Copy archived jobs from the archive, in its order. The others, such as running ones, are copied from the tables in
        use and reset to their state before ``first``, as far as their rows allow.
        """
        await self._copy(tables.tag, self._new.tag, self._first * TAGS_PER_EVENT)
        jobs = iter(archived)
        while page := list(islice(jobs, ARCHIVE_PAGE)):
            await self._archived(page)
        await self._jobs()
        async with transaction(self._engine) as connection:
            await seed_rejections(connection, self._new, self._first, EVENTS)
        await self._copy(tables.job_deletion, self._new.job_deletion, self._first)
        await self._copy(tables.parked_stop, self._new.parked_stop, self._first)
        await self._stops_before_their_start()

    async def _archived(self, page: Sequence[ArchivedJob]) -> None:
        job, deletion = tables.job.c, tables.job_deletion.c
        async with transaction(self._engine) as connection:
            same_job_id = one_of(job.job_id, {archived.event.job_id for archived in page})
            same_id = one_of(job.id, {archived.id for archived in page if archived.id is not None})
            columns = job.id, job.cluster, job.job_id, job.start_time, job.former_id
            rows = list(await connection.execute(select(*columns).where(or_(same_job_id, same_id))))
            taken_over = {row.id for row in rows if row.former_id is not None}  # their rows have more than their entries
            ids = {(row.cluster, row.job_id, row.start_time): row.id for row in rows}
            used = set(ids.values())
            found: dict[int, JobImported] = {}
            for archived in page:
                identity = (archived.event.cluster, archived.event.job_id, archived.event.start_time)
                id_ = ids.get(identity, archived.id)
                if id_ is None or (id_ in used and identity not in ids):
                    why = "its id is not known" if id_ is None else f"its id {id_} belongs to another job"
                    log.warning("archived_job_left_out", cluster=identity[0], job=identity[1], start_time=identity[2], why=why)
                elif id_ < self._first and id_ not in taken_over:
                    found[id_] = archived.event
            deleted = set(await connection.scalars(select(deletion.job).where(one_of(deletion.job, found.keys()))))
            records = [Recorded(id_, found[id_], 0.0) for id_ in sorted(found.keys() - deleted)]
            await run(connection, lambda sync: self._applier.apply(sync, records))

    async def _jobs(self) -> None:
        link = tables.jobtag.c

        async def with_tags(connection: AsyncConnection, rows: list[Row]) -> None:
            kept = {row["id"] for row in rows}
            of_rows = link.job_id.between(rows[0]["id"], rows[-1]["id"])
            tagged = select(tables.jobtag).where(of_rows, link.tag_id < self._first * TAGS_PER_EVENT)  # later tags come from the log
            found = (await connection.execute(tagged)).mappings()
            await connection.run_sync(write_rows, insert(self._new.jobtag), [dict(row) for row in found if row["job_id"] in kept])

        def before(row: Row) -> Row:
            if row["stop_seq"] is None or row["stop_seq"] < self._first:
                return row
            status = row["monitoring_status"] if row["monitoring_status"] == MONITORING_DISABLED else MONITORING_OPEN
            return row | {
                "job_state": JobState.RUNNING.value,
                "duration": 0,
                "stop_seq": None,
                "is_overdue": 0,
                "unsettled_until": None,
                "archive_due": None,
                "advice": None,
                "archiving_failure": None,
                "monitoring_status": status,
            }

        await self._copy(tables.job, self._new.job, self._first, before, with_tags)

    async def _stops_before_their_start(self) -> None:
        """Add stops as parked whose start is still in the log. Stops that are still parked have already been copied."""
        job, position = tables.job.c, tables.position.c
        async with transaction(self._engine) as connection:
            now = await connection.scalar(select(position.event_time).where(position.stream == EVENTS))
            ended = await connection.execute(
                select(job.stop_seq, job.job_id, job.cluster, job.start_time, job.duration, job.job_state).where(
                    job.id >= self._first, job.stop_seq < self._first
                )
            )
            waiting = [
                {
                    "seq": row.stop_seq,
                    "job_id": row.job_id,
                    "cluster": row.cluster,
                    "start_time": row.start_time,
                    "stop_time": row.start_time + row.duration,
                    "job_state": row.job_state,
                    "received_state": None,
                    "origin": f"stop {row.stop_seq}",
                    "parked_at": now or 0.0,
                    "oddities": None,
                    "was_applied": 0,
                }
                for row in ended
            ]
            await connection.run_sync(lambda sync: write_rows(sync, insert_or_ignore(sync, self._new.parked_stop), waiting))

    async def _copy(
        self,
        table: Table,
        new: Table,
        below: int,
        change: Callable[[Row], Row] = lambda row: row,
        then: Callable[[AsyncConnection, list[Row]], Awaitable[None]] | None = None,
    ) -> None:
        """Copy rows with a key below ``below`` through ``change``, except existing ones. ``then`` is called with each page."""
        (key,), (new_key,) = table.primary_key.columns, new.primary_key.columns
        last = -1
        while True:
            async with transaction(self._engine) as connection:
                page = select(table).where(key > last, key < below).order_by(key).limit(PAGE)
                rows = [dict(row) for row in (await connection.execute(page)).mappings()]
                if not rows:
                    return
                within = new_key.between(rows[0][key.name], rows[-1][key.name])
                there = set(await connection.scalars(select(new_key).where(within)))
                copied = [change(row) for row in rows if row[key.name] not in there]
                await connection.run_sync(write_rows, insert(new), copied)
                if then is not None and copied:
                    await then(connection, copied)
            last = rows[-1][key.name]


async def seed_rejections(connection: AsyncConnection, new: ProjectionTables, first: int, stream: str = REJECTIONS) -> None:
    """Copy the rejections of events that have expired from ``stream``."""
    rejection = tables.rejection
    gone = select(rejection).where(rejection.c.stream == stream, rejection.c.seq < first)
    await connection.execute(insert(new.rejection).from_select([column.name for column in rejection.columns], gone))


async def seed_nodes(connection: AsyncConnection, new: ProjectionTables, first: int) -> None:
    """Copy nodes and their history from reports and checks that have expired from the log."""
    states = await _history(connection, tables.node_state, first)
    checks = await _history(connection, tables.node_health, first)
    state_then = {row["node_id"]: row for row in states}
    health_then = {row["node_id"]: row for row in checks}
    rows = []
    for found in (await connection.execute(select(tables.node))).mappings():
        row, state, health = dict(found), state_then.get(found["id"]), health_then.get(found["id"])
        if row["report_seq"] >= first:
            if state is None:
                continue
            row |= {**state, "id": row["id"], "kept_at": state["time_stamp"], "report_seq": 0}
        checked_at = 0 if health is None else health["time_stamp"]
        if row["changed_seq"] >= first or row["health_kept_at"] != checked_at:  # the log still has the later check
            row |= NOT_CHECKED if health is None else {"health_state": health["health_state"], "health_kept_at": health["time_stamp"]}
        rows.append({column.name: row[column.name] for column in tables.node.columns})
    for table, content in ((new.node, rows), (new.node_state, states), (new.node_health, checks)):
        await connection.run_sync(write_rows, insert(table), content)


async def _history(connection: AsyncConnection, table: Table, first: int) -> list[Row]:
    """Copy the rows of events before ``first``, in order."""
    rows = await connection.execute(select(table).where(table.c.id < first * NODES_PER_EVENT).order_by(table.c.id))
    return [dict(row) for row in rows.mappings()]
