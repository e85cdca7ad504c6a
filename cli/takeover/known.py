"""What the site already has of a page of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.takeover.database import StoredJob
from shared.database.engine import transaction
from shared.database.sql import one_of
from shared.database.tables import tables

Identity = tuple[str, int, int]  # cluster, job id, start time


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job of the site. ``digest`` is that of the state that was taken over, empty if it came in another way."""

    id: int
    former_id: int | None
    digest: str
    changed_seq: int


@dataclass(frozen=True, slots=True)
class Known:
    jobs: dict[Identity, KnownJob]
    deleted: set[Identity]


def identity_of(stored: StoredJob) -> Identity:
    row = stored.row
    return row["cluster"], row["job_id"], row["start_time"]


async def known_of(engine: AsyncEngine, page: Sequence[StoredJob]) -> Known:
    """The jobs of the page that the site has, and those that were deleted from it. Raises Unavailable."""
    job, gone = tables.job.c, tables.job_deletion.c
    columns = job.cluster, job.job_id, job.start_time, job.id, job.former_id, job.former_state, job.changed_seq
    numbers = {stored.row["job_id"] for stored in page}
    async with transaction(engine) as connection:
        rows = (await connection.execute(select(*columns).where(one_of(job.job_id, numbers)))).all()
        deleted = await connection.execute(select(gone.cluster, gone.job_id, gone.start_time).where(one_of(gone.job_id, numbers)))
        jobs = {(row[0], row[1], row[2]): KnownJob(row[3], row[4], _digest(row[5]), row[6]) for row in rows}
        return Known(jobs, {(row[0], row[1], row[2]) for row in deleted} - jobs.keys())


def _digest(state: str | None) -> str:
    return str(orjson.loads(state)["digest"]) if state else ""
