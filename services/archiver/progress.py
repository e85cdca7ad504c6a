"""Waiting until jobstore has applied an event. All waiters share one poller."""

import asyncio

import structlog

from services.archiver.jobs import JobReader
from shared.backoff import Backoff, sleep_unless
from shared.database.progress import Progress
from shared.errors import Unavailable

log = structlog.get_logger()

POLL_S = 0.05


class ProgressWatch:
    """The progress of jobstore as last read."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader
        self.progress = Progress()
        self._waiting = 0
        self._has_waiters = asyncio.Event()
        self._updated = asyncio.Condition()

    async def wait(self, sequence: int, log_id: str, *, timeout_s: float) -> bool:
        """True once jobstore has passed ``sequence``, false after ``timeout_s``."""
        if self.progress.has_applied(sequence, log_id):
            return True
        self._waiting += 1
        self._has_waiters.set()
        try:
            async with asyncio.timeout(timeout_s), self._updated:
                await self._updated.wait_for(lambda: self.progress.has_applied(sequence, log_id))
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._has_waiters.clear()
        return True

    def observe(self, found: Progress) -> None:
        """Accept the progress even if it is lower than before, which happens when an older database was restored."""
        if found.log == self.progress.log and found.events < self.progress.events:
            log.warning("position_went_back", before=self.progress.events, now=found.events)
        self.progress = found

    async def keep_reading(self, stop: asyncio.Event) -> None:
        """Poll while there are waiters, until ``stop``."""
        pause = Backoff(first_s=0.2, max_s=5.0)
        while not stop.is_set():
            try:
                await asyncio.wait_for(self._has_waiters.wait(), 0.5)
            except TimeoutError:
                continue
            try:
                found = await self._reader.progress()
            except Unavailable as e:
                log.warning("position_unknown", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            self.observe(found)
            async with self._updated:
                self._updated.notify_all()
            await sleep_unless(stop, POLL_S)
