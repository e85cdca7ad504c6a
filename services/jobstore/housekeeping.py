"""Publishes an event when something is due; the projection acts on that event.

Time enters the rules only through the log, with the limits in force, so that a rebuild does the same. It is the broker's:
a clock of this machine that is wrong neither ends a wait early nor prolongs it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.settings import JobstoreSettings
from shared.backoff import sleep_unless
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.sql import is_running
from shared.database.tables import tables
from shared.domain.events import HousekeepingDue
from shared.errors import JobtideError

log = structlog.get_logger()

LONGEST_STEP_S = 60.0


class Housekeeping:
    """Publishes HousekeepingDue while there is something to do. Replicas agree on the message id, so one of them wins.

    ``now`` is the broker's time in Unix seconds.
    """

    def __init__(self, settings: JobstoreSettings, engine: AsyncEngine, publisher: Publisher, now: Callable[[], Awaitable[float]]) -> None:
        self._engine = engine
        self._publisher = publisher
        self._now = now
        self._due = HousekeepingDue(
            parked_stop_ttl_s=settings.parked_stop_ttl_s,
            rejection_retention_s=int(settings.rejection_retention_days * 86_400),
            walltime_grace_s=settings.walltime_grace_s,
        )
        self._step_s = min(LONGEST_STEP_S, max(1.0, settings.parked_stop_ttl_s / 4))

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        while not await sleep_unless(stop, self._step_s):
            tick()
            try:
                now = await self._now()
                if await self._something_is_due(now):
                    await self._publish(now)
            except JobtideError as e:
                log.warning("housekeeping_waits", why=str(e))

    async def _something_is_due(self, now: float) -> bool:
        job = tables.job.c
        due = [
            exists().where(tables.parked_stop.c.parked_at < now - self._due.parked_stop_ttl_s),
            exists().where(tables.rejection.c.time < now - self._due.rejection_retention_s),
        ]
        if self._due.walltime_grace_s is not None:
            overdue = job.start_time < int(now) - self._due.walltime_grace_s - job.walltime
            due.append(exists().where(is_running(job.job_state), job.walltime > 0, overdue))
        async with transaction(self._engine) as connection:
            return bool(await connection.scalar(select(or_(*due))))

    async def _publish(self, now: float) -> None:
        message_id = f"housekeeping:{self._step_s:g}:{int(now / self._step_s)}"
        await self._publisher.publish([Envelope(self._due, message_id, "/jobstore", datetime.fromtimestamp(now, UTC))])
