"""Requests the archiving of jobs whose stop is no longer in the log, as after `provision --continue-log` or a long outage."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from services.archiver.jobs import JobReader
from shared.backoff import Backoff, sleep_unless
from shared.broker.cursor import LogState
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobArchiveRequested
from shared.errors import Unavailable

log = structlog.get_logger()

INTERVAL_S = 600.0
JOBS_PER_CHUNK = 500
CHUNK_PAUSE_S = 1.0  # gives other events priority
PUBLISH_DEADLINE_S = 60.0
LOST_STOPS_WITHIN_S = INTERVAL_S + PUBLISH_DEADLINE_S + 60.0  # longest iteration, with a margin for a slow database


class LostStops:
    """``log_state`` asks the broker for the state of EVENTS, and raises Unavailable."""

    def __init__(self, reader: JobReader, publisher: Publisher, log_state: Callable[[], Awaitable[LogState]]) -> None:
        self._reader = reader
        self._publisher = publisher
        self._log_state = log_state
        self._log_id = ""
        self._after = (0, 0)  # (stop_seq, id) of the last job requested in this log

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Check at start and every ``INTERVAL_S``, until ``stop``."""
        pause = Backoff(first_s=1.0, max_s=30.0)
        while not stop.is_set():
            tick()
            try:
                requested = await self._request_chunk()
            except Unavailable as e:
                log.warning("lost_stops_unknown", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            await sleep_unless(stop, CHUNK_PAUSE_S if requested else INTERVAL_S)

    async def _request_chunk(self) -> int:
        """Request the next jobs that stopped before the first event of the log; returns their number. Raises Unavailable."""
        state = await self._log_state()
        if state.created != self._log_id:
            self._log_id, self._after = state.created, (0, 0)
        if state.first_sequence <= 1:
            return 0
        jobs = await self._reader.waiting(self._after, before=state.first_sequence, limit=JOBS_PER_CHUNK)
        if not jobs:
            return 0
        now = datetime.now(UTC)
        requests = [
            # Replicas use the same message ids.
            Envelope(JobArchiveRequested(id=job.id, cluster=job.cluster), f"lost-stop:{job.id}:{state.created}", "jobtide/archiver", now)
            for job in jobs
        ]
        await self._publisher.publish(requests, deadline_s=PUBLISH_DEADLINE_S)
        self._after = jobs[-1].stop_seq, jobs[-1].id
        log.warning("lost_stops_requested", jobs=len(jobs), first_sequence=state.first_sequence)
        return len(jobs)
