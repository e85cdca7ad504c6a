"""Waiting until jobstore has applied an event. All waiters share one poller."""

import asyncio

import structlog

from services.archiver.jobs import JobReader
from shared.backoff import Backoff, sleep_unless
from shared.broker.streams import EVENTS
from shared.errors import Unavailable

log = structlog.get_logger()

POLL_S = 0.05


class PositionWatch:
    """The last known position of jobstore in EVENTS."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader
        self.sequence = 0
        self.stream_created = ""
        self._waiting = 0
        self._has_waiters = asyncio.Event()
        self._updated = asyncio.Condition()

    def has_passed(self, sequence: int, stream_created: str) -> bool:
        """False also when the position belongs to another log than ``stream_created``."""
        return self.stream_created == stream_created and self.sequence >= sequence

    async def wait(self, sequence: int, stream_created: str, *, timeout_s: float) -> bool:
        """True once jobstore has passed ``sequence``, false after ``timeout_s``."""
        if self.has_passed(sequence, stream_created):
            return True
        self._waiting += 1
        self._has_waiters.set()
        try:
            async with asyncio.timeout(timeout_s), self._updated:
                await self._updated.wait_for(lambda: self.has_passed(sequence, stream_created))
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._has_waiters.clear()
        return True

    async def keep_reading(self, stop: asyncio.Event) -> None:
        """Poll while there are waiters, until ``stop``."""
        pause = Backoff(first_s=0.2, most_s=5.0)
        while not stop.is_set():
            try:
                await asyncio.wait_for(self._has_waiters.wait(), 0.5)
            except TimeoutError:
                continue
            try:
                found = await self._reader.position(EVENTS)
            except Unavailable as e:
                log.warning("position_unknown", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            self.sequence, self.stream_created = found.sequence, found.stream_created
            async with self._updated:
                self._updated.notify_all()
            await sleep_unless(stop, POLL_S)
