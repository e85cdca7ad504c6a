"""Publishes an event when something is due; the projection acts on that event.

The rules learn the time and the current limits only from the log, so that a rebuild gives the same rows. The time is the broker's,
so that a wrong clock of this machine neither shortens nor prolongs a wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy import ColumnElement, Exists, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.settings import JobstoreSettings
from shared.backoff import sleep_unless
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS, REJECTIONS
from shared.database.engine import transaction
from shared.database.sql import is_running
from shared.database.tables import tables
from shared.domain.events import HousekeepingDue, JobArchiveRequested, RejectionsDue
from shared.domain.values import JobState
from shared.errors import JobtideError

log = structlog.get_logger()

MAX_STEP_S = 60.0
MAX_REQUESTS = 1000  # archive requests per step


class Housekeeping:
    """Publishes HousekeepingDue and RejectionsDue while something is due. Replicas use the same message ids, so only one event is stored.

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
        self._step_s = min(MAX_STEP_S, max(1.0, min(settings.parked_stop_ttl_s, settings.superseded_after_s) / 4))

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        while not await sleep_unless(stop, self._step_s):
            tick()
            try:
                now = await self._now()
                due: list[HousekeepingDue | RejectionsDue] = []
                if await self._something_is_due(now):
                    due.append(self._due)
                if await self._exists(self._old_rejections(REJECTIONS, now)):
                    due.append(RejectionsDue(retention_s=self._due.rejection_retention_s))
                await self._publish(due, now)
                await self._request_archiving(now)
            except JobtideError as e:
                log.warning("housekeeping_waits", why=str(e))

    async def _something_is_due(self, now: float) -> bool:
        job = tables.job.c
        due = [
            exists().where(tables.parked_stop.c.parked_at < now - self._due.parked_stop_ttl_s),
            exists().where(is_running(job.job_state), job.unsettled_until < now),
            self._old_rejections(EVENTS, now),
        ]
        if self._due.walltime_grace_s is not None:
            overdue = job.start_time < int(now) - self._due.walltime_grace_s - job.walltime
            due.append(exists().where(is_running(job.job_state), job.walltime > 0, overdue))
        return await self._exists(or_(*due))

    async def _request_archiving(self, now: float) -> None:
        """Request archiving of jobs that ended without a stop event of their own."""
        job = tables.job.c
        due = (
            select(job.id, job.cluster, job.stop_seq)
            .where(job.archive_due < now, job.archive_due.is_not(None), job.job_state != JobState.RUNNING.value)
            .order_by(job.id)
            .limit(MAX_REQUESTS)
        )
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(due)).all()
        if rows:
            at = datetime.fromtimestamp(now, UTC)
            requests = [(JobArchiveRequested(id=row.id, cluster=row.cluster), f"archive-due:{row.id}:{row.stop_seq}") for row in rows]
            await self._publisher.publish([Envelope(event, message_id, "/jobstore", at) for event, message_id in requests])

    def _old_rejections(self, stream: str, now: float) -> Exists:
        rejection = tables.rejection.c
        return exists().where(rejection.stream == stream, rejection.time < now - self._due.rejection_retention_s)

    async def _exists(self, condition: ColumnElement[bool]) -> bool:
        async with transaction(self._engine) as connection:
            return bool(await connection.scalar(select(condition)))

    async def _publish(self, due: Sequence[HousekeepingDue | RejectionsDue], now: float) -> None:
        message_id = f"housekeeping:{self._step_s:g}:{int(now / self._step_s)}"  # the same id for both, since they are in different streams
        await self._publisher.publish([Envelope(event, message_id, "/jobstore", datetime.fromtimestamp(now, UTC)) for event in due])
