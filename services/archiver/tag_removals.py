"""Removing a tag from the site: the entries of all jobs that had it follow, in chunks.

The removal changes ``changed_seq`` of each of these jobs to its own sequence, and later changes only increase it. So the jobs
are among those changed since. The event is acknowledged after the last chunk: a crash repeats the chunks, which leaves
entries that are up to date unchanged.
"""

import asyncio
from contextlib import suppress

import structlog

from services.archiver.annotations import Annotator
from services.archiver.dependencies import Dependencies
from services.archiver.failures import describe
from services.archiver.jobs import JobReader
from services.archiver.numbers import ArchiverNumbers
from services.archiver.queue import Delivery
from shared.backoff import Backoff

log = structlog.get_logger()

JOBS_PER_CHUNK = 200
MAX_QUEUED = 100
RETRY_PAUSE_S = 5.0


class TagRemovals:
    """One removal at a time; ``max_pause_s`` bounds the pause after a failed chunk."""

    def __init__(
        self,
        reader: JobReader,
        annotator: Annotator,
        dependencies: Dependencies,
        numbers: ArchiverNumbers,
        *,
        ack_wait_s: float,
        max_pause_s: float,
    ) -> None:
        self._reader = reader
        self._annotator = annotator
        self._dependencies = dependencies
        self._numbers = numbers
        self._ack_wait_s = ack_wait_s
        self._max_pause_s = max_pause_s
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(MAX_QUEUED)
        self._held: set[Delivery] = set()

    async def submit(self, delivery: Delivery) -> None:
        """Take over a TagRemoved that jobstore has applied."""
        if self._queue.full():
            await delivery.hand_back(RETRY_PAUSE_S)
            return
        self._held.add(delivery)
        self._queue.put_nowait(delivery)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._signal_progress(), name="tag-progress")
            while True:
                delivery = await self._queue.get()
                entries = await self._update_entries(delivery.sequence)
                await delivery.ack()
                self._held.discard(delivery)
                self._numbers.outcome("annotated")
                log.info("tag_removed_from_archive", sequence=delivery.sequence, jobs=entries)

    async def hand_back(self) -> None:
        for delivery in self._held:
            await delivery.hand_back()
        self._held.clear()

    async def _update_entries(self, sequence: int) -> int:
        """Update all stopped jobs changed since ``sequence``; returns their number. Failed chunks are retried until they succeed."""
        pause = Backoff(first_s=min(RETRY_PAUSE_S, self._max_pause_s), most_s=self._max_pause_s)
        after, count = (sequence, 0), 0
        while True:
            try:
                jobs = await self._reader.changed_since(after, limit=JOBS_PER_CHUNK)
                await self._annotator.update(jobs)
            except Exception as e:  # noqa: BLE001 - the remaining chunks must not be lost
                await self._dependencies.is_to_blame(e, "", bytes_needed=0)
                log.warning("tag_removal_waits", sequence=sequence, jobs=count, why=describe(e))
                await asyncio.sleep(pause.next_s())
                continue
            if not jobs:
                return count
            pause.reset()
            count += len(jobs)
            after = jobs[-1].changed_seq, jobs[-1].id

    async def _signal_progress(self) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for delivery in list(self._held):
                with suppress(Exception):
                    await delivery.in_progress()
