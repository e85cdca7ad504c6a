"""Figures of the running site, read once a second for the display of the demo."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.backoff import sleep_unless
from shared.broker.streams import LOGS
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED
from shared.errors import Unavailable
from shared.settings import NatsSettings
from shared.status import database_state, stopped_by_status, stream_states

log = structlog.get_logger()

EVERY_S = 1.0
RATE_OVER_S = 10.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """``waiting`` counts events not yet in the database, ``to_archive`` finished jobs not yet in the archive."""

    running: int
    finished: int
    archived: int
    to_archive: int
    archiving_failed: int
    events: int
    events_per_s: float
    waiting: int
    rejections: int


async def watch(client: Client, nats: NatsSettings, engine: AsyncEngine, stop: asyncio.Event, show: Callable[[Numbers], None]) -> None:
    """Runs until ``stop``; skips the figures while the broker or the database is unavailable."""
    history: deque[tuple[float, int]] = deque()
    while not stop.is_set():
        try:
            streams = await stream_states(client, nats)
            database = await database_state(engine)
            stopped = await stopped_by_status(engine)
        except Unavailable as e:
            log.warning("status_unknown", why=str(e))
        else:
            last = {stream.kind: stream.last for stream in streams if stream.kind in LOGS}
            now, events = time.monotonic(), sum(last.values())
            history.append((now, events))
            while now - history[0][0] > RATE_OVER_S:
                history.popleft()
            passed_s = now - history[0][0]
            finished = sum(stopped.values())
            archived = stopped.get(ARCHIVED, 0)
            failed = stopped.get(ARCHIVING_FAILED, 0)
            show(
                Numbers(
                    running=database.running,
                    finished=finished,
                    archived=archived,
                    to_archive=finished - archived - failed,
                    archiving_failed=failed,
                    events=events,
                    events_per_s=(events - history[0][1]) / passed_s if passed_s > 0 else 0.0,
                    waiting=sum(max(0, sequence - database.positions.get(kind, 0)) for kind, sequence in last.items()),
                    rejections=sum(database.rejections.values()),
                )
            )
        await sleep_unless(stop, EVERY_S)
