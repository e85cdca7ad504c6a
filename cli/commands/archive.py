"""`jobtide archive`."""

import asyncio
import getpass
import uuid
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.site import broker_of, database_of, find_site
from shared.domain.values import MONITORING_DISABLED, JobState
from shared.errors import UserError

SOURCE = "/cli"
PAGE = 1000


def run_retry(data: Path | None, job: int | None, *, failed: bool) -> None:
    if (job is None) == (not failed):
        raise UserError("give either --job ID or --failed")
    from shared.broker.envelope import Envelope
    from shared.broker.publisher import Publisher
    from shared.domain.events import JobArchiveRequested

    site = find_site(data)

    async def run() -> int:
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(database_of(site))
            client, nats = await stack.enter_async_context(broker_of(site, "archive"))
            publisher = Publisher(client, nats.prefix)
            now, run_id, actor = datetime.now(UTC), uuid.uuid4().hex, getpass.getuser()
            count, last = 0, 0
            while rows := await (_one(engine, job) if job is not None else _failed(engine, last)):
                await publisher.publish(
                    [Envelope(JobArchiveRequested(id=id_, cluster=cluster), f"{run_id}:{id_}", SOURCE, now, actor) for id_, cluster in rows]
                )
                count += len(rows)
                last = rows[-1][0]
                if job is not None:
                    break
            return count

    count = asyncio.run(run())
    print("there are no jobs whose archiving failed" if not count else f"requested archiving of {count} job{'s' if count != 1 else ''}")


async def _failed(engine: AsyncEngine, after: int) -> list[tuple[int, str]]:
    from shared.database.engine import transaction
    from shared.database.sql import archiving_has_failed
    from shared.database.tables import tables

    job = tables.job.c
    query = select(job.id, job.cluster).where(archiving_has_failed(job.monitoring_status), job.id > after).order_by(job.id).limit(PAGE)
    async with transaction(engine) as connection:
        return [(row.id, row.cluster) for row in await connection.execute(query)]


async def _one(engine: AsyncEngine, id_: int) -> list[tuple[int, str]]:
    """The job with this database id. Raises UserError when it cannot be archived."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    job = tables.job.c
    async with transaction(engine) as connection:
        row = (await connection.execute(select(job.id, job.cluster, job.job_state, job.monitoring_status).where(job.id == id_))).first()
    if row is None:
        raise UserError(f"--job: there is no job with the database id {id_}")
    if row.job_state == JobState.RUNNING:
        raise UserError(f"--job: the job {id_} is running")
    if row.monitoring_status == MONITORING_DISABLED:
        raise UserError(f"--job: the job {id_} was started without monitoring")
    return [(row.id, row.cluster)]
