"""Reads the jobs whose archiving failed."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import read
from shared.database.sql import archiving_has_failed, one_of
from shared.database.tables import tables

job = tables.job.c
_HAS_FAILED = archiving_has_failed(job.monitoring_status)
_ROW = (
    *(job.id, job.job_id, job.cluster, job.hpc_user, job.project, job.start_time, job.duration),
    *(job.job_state, job.is_overdue, job.archiving_failure),
)


async def archiving_failures(engine: AsyncEngine, *, limit: int, first: int) -> tuple[int, Sequence[dict[str, Any]]]:
    """The number of all, and a page of them, newest jobs first. Raises Unavailable."""
    page = select(*_ROW).where(_HAS_FAILED).order_by(job.id.desc()).limit(limit).offset(first)

    def work(connection: Connection) -> tuple[int, Sequence[dict[str, Any]]]:
        count = connection.scalar(select(func.count()).select_from(tables.job).where(_HAS_FAILED)) or 0
        return count, [dict(row._mapping) for row in connection.execute(page)]

    return await read(engine, work)


async def failed_jobs(engine: AsyncEngine, ids: Collection[int], *, after: int, limit: int) -> list[tuple[int, str]]:
    """Id and cluster of jobs whose archiving failed, ordered by id: those of ``ids``, or all if it is empty. Raises Unavailable."""
    wanted = select(job.id, job.cluster).where(_HAS_FAILED, job.id > after).order_by(job.id).limit(limit)
    if ids:
        wanted = wanted.where(one_of(job.id, ids))

    def work(connection: Connection) -> list[tuple[int, str]]:
        return [(row.id, row.cluster) for row in connection.execute(wanted)]

    return await read(engine, work)
