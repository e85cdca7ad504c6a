"""Waiting until jobstore has passed an event: one poller for everybody who waits."""

import asyncio

import structlog

from services.archiver.jobs import JobReader
from shared.backoff import Backoff, sleep_unless
from shared.broker.streams import EVENTS
from shared.errors import Unavailable

log = structlog.get_logger()

POLL_S = 0.05


class PositionWatch:
    """The position of jobstore in EVENTS, as last read."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader
        self.sequence = 0
        self.stream_created = ""
        self._waiting = 0
        self._somebody_waits = asyncio.Event()
        self._turned = asyncio.Condition()

    def has_passed(self, sequence: int, stream_created: str) -> bool:
        """A position in another log than ``stream_created`` says nothing."""
        return self.stream_created == stream_created and self.sequence >= sequence

    async def wait(self, sequence: int, stream_created: str, *, timeout_s: float) -> bool:
        """True as soon as jobstore has passed ``sequence``; false when ``timeout_s`` is over first."""
        if self.has_passed(sequence, stream_created):
            return True
        self._waiting += 1
        self._somebody_waits.set()
        try:
            async with asyncio.timeout(timeout_s), self._turned:
                await self._turned.wait_for(lambda: self.has_passed(sequence, stream_created))
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._somebody_waits.clear()
        return True

    async def keep_reading(self, stop: asyncio.Event) -> None:
        """Poll while somebody waits, until ``stop``."""
        pause = Backoff(first_s=0.2, most_s=5.0)
        while not stop.is_set():
            try:
                await asyncio.wait_for(self._somebody_waits.wait(), 0.5)
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
            async with self._turned:
                self._turned.notify_all()
            await sleep_unless(stop, POLL_S)
