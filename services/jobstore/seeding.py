"""Fills a second set of tables with state whose events have left the log: from the archive, else from the tables in use."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.jobstore.nodes import NODES_PER_EVENT, NOT_CHECKED
from services.jobstore.projection import Applier
from services.jobstore.rules.world import TAGS_PER_EVENT
from services.jobstore.sql import insert_or_ignore, write_rows
from shared.broker.streams import EVENTS
from shared.database.engine import transaction
from shared.database.tables import ProjectionTables, tables
from shared.domain.events import JobImported
from shared.domain.recorded import Recorded
from shared.domain.values import MONITORING_DISABLED, MONITORING_OPEN, JobState

PAGE = 5000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ArchivedJob:
    """A job whose start has left the log. ``id`` is its database id, as stored in the archive."""

    id: int
    event: JobImported


class JobSeeds:
    """Copies jobs and their dependent rows from events before ``first``, page by page, so that concurrent writers wait only briefly."""

    def __init__(self, engine: AsyncEngine, new: ProjectionTables, applier: Applier, first: int) -> None:
        self._engine = engine
        self._new = new
        self._applier = applier
        self._first = first

    async def put(self, archived: Iterable[ArchivedJob]) -> None:
        """Archived jobs are taken from the archive; the others, such as running ones, are restored to their state before ``first``.

        That cannot be told of everything: an edit that the log has too was made already, and one of a job that is gone is refused.
        """
        deleted = await self._deleted()
        gone = sorted((job for job in archived if job.id < self._first and job.id not in deleted), key=lambda job: job.id)
        await self._copy(tables.tag, self._new.tag, self._first * TAGS_PER_EVENT)
        await self._jobs({job.id for job in gone})
        for table, new in ((tables.rejection, self._new.rejection), (tables.job_deletion, self._new.job_deletion)):
            await self._copy(table, new, self._first)
        await self._copy(tables.parked_stop, self._new.parked_stop, self._first)
        await self._stops_before_their_start()
        for start in range(0, len(gone), PAGE):
            async with transaction(self._engine) as connection:
                await self._applier.apply(connection, [Recorded(job.id, job.event, 0.0) for job in gone[start : start + PAGE]])

    async def _deleted(self) -> set[int]:
        deletion = tables.job_deletion.c
        async with transaction(self._engine) as connection:
            return set(await connection.scalars(select(deletion.job).where(deletion.job < self._first)))

    async def _jobs(self, archived: Collection[int]) -> None:
        link = tables.jobtag.c

        async def with_tags(connection: AsyncConnection, rows: list[Row]) -> None:
            kept = {row["id"] for row in rows}
            of_rows = link.job_id.between(rows[0]["id"], rows[-1]["id"])
            tagged = select(tables.jobtag).where(of_rows, link.tag_id < self._first * TAGS_PER_EVENT)  # later tags come from the log
            found = (await connection.execute(tagged)).mappings()
            await write_rows(connection, insert(self._new.jobtag), [dict(row) for row in found if row["job_id"] in kept])

        def before(row: Row) -> Row | None:
            if row["id"] in archived:
                return None
            if row["stop_seq"] is None or row["stop_seq"] < self._first:
                return row
            status = row["monitoring_status"] if row["monitoring_status"] == MONITORING_DISABLED else MONITORING_OPEN
            return row | {
                "job_state": JobState.RUNNING.value,
                "duration": 0,
                "stop_seq": None,
                "is_overdue": 0,
                "monitoring_status": status,
            }

        await self._copy(tables.job, self._new.job, self._first, before, with_tags)

    async def _stops_before_their_start(self) -> None:
        """Copy stops that waited for a start which is still in the log; a stop whose start was just applied was copied as waiting."""
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
                }
                for row in ended
            ]
            await write_rows(connection, insert_or_ignore(connection, self._new.parked_stop), waiting)

    async def _copy(
        self,
        table: Table,
        new: Table,
        below: int,
        change: Callable[[Row], Row | None] = lambda row: row,
        then: Callable[[AsyncConnection, list[Row]], Awaitable[None]] | None = None,
    ) -> None:
        """Copy rows with a key less than ``below`` through ``change``, which returns None to omit one; ``then`` receives each page."""
        (key,) = table.primary_key.columns
        last = -1
        while True:
            async with transaction(self._engine) as connection:
                page = select(table).where(key > last, key < below).order_by(key).limit(PAGE)
                rows = [dict(row) for row in (await connection.execute(page)).mappings()]
                kept = [changed for row in rows if (changed := change(row)) is not None]
                await write_rows(connection, insert(new), kept)
                if then is not None and kept:
                    await then(connection, kept)
            if len(rows) < PAGE:
                return
            last = rows[-1][key.name]


async def seed_nodes(connection: AsyncConnection, new: ProjectionTables, first: int) -> None:
    """Copy nodes and their history from reports and checks that have left the log."""
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
        await write_rows(connection, insert(table), content)


async def _history(connection: AsyncConnection, table: Table, first: int) -> list[Row]:
    """Copy the rows of events before ``first``, in order."""
    rows = await connection.execute(select(table).where(table.c.id < first * NODES_PER_EVENT).order_by(table.c.id))
    return [dict(row) for row in rows.mappings()]
