"""Waiting until jobstore has applied an event. All waiters share one poller."""

import asyncio

import structlog

from services.archiver.jobs import JobReader, Position
from shared.backoff import Backoff, sleep_unless
from shared.errors import Unavailable

log = structlog.get_logger()

POLL_S = 0.05


class PositionWatch:
    """The last known position of jobstore in EVENTS."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader
        self.position = Position(0, "")
        self._waiting = 0
        self._has_waiters = asyncio.Event()
        self._updated = asyncio.Condition()

    async def wait(self, sequence: int, stream_created: str, *, timeout_s: float) -> bool:
        """True once jobstore has passed ``sequence``, false after ``timeout_s``."""
        if self.position.has_passed(sequence, stream_created):
            return True
        self._waiting += 1
        self._has_waiters.set()
        try:
            async with asyncio.timeout(timeout_s), self._updated:
                await self._updated.wait_for(lambda: self.position.has_passed(sequence, stream_created))
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._has_waiters.clear()
        return True

    def observe(self, found: Position) -> None:
        """Store a position that was read, also one before the last known: the database was replaced by an older one."""
        if found.stream_created == self.position.stream_created and found.sequence < self.position.sequence:
            log.warning("position_went_back", before=self.position.sequence, now=found.sequence)
        self.position = found

    async def keep_reading(self, stop: asyncio.Event) -> None:
        """Poll while there are waiters, until ``stop``."""
        pause = Backoff(first_s=0.2, most_s=5.0)
        while not stop.is_set():
            try:
                await asyncio.wait_for(self._has_waiters.wait(), 0.5)
            except TimeoutError:
                continue
            try:
                found = await self._reader.position()
            except Unavailable as e:
                log.warning("position_unknown", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            self.observe(found)
            async with self._updated:
                self._updated.notify_all()
            await sleep_unless(stop, POLL_S)
