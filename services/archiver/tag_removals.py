"""Updates the entries of all jobs that had a tag which was removed from the site, in chunks.

The removal sets ``changed_seq`` of these jobs to its own sequence, and later changes only increase it, so the jobs are among
those changed since. The event is acknowledged after the last chunk. After a crash, the chunks are repeated; entries that are up
to date are not changed.

An outage delays the chunk. A failure of one job, such as a damaged meta.json, does not affect the others: the job is
archived again, which writes its present tags or ends in a JobArchivingFailed.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from services.archiver.annotations import Annotator
from services.archiver.dependencies import Dependencies
from services.archiver.failures import describe
from services.archiver.jobs import JobReader, JobRecord
from services.archiver.prometheus import ArchiverNumbers
from services.archiver.queue import Delivery
from services.archiver.work import Work
from shared.backoff import Backoff
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobArchiveRequested

log = structlog.get_logger()

JOBS_PER_CHUNK = 200
MAX_QUEUED = 100
MAX_LOGGED = 10  # failed jobs of one removal that get a log line each
RETRY_PAUSE_S = 5.0


class TagRemovals:
    """Handles one removal at a time. ``max_pause_s`` bounds the pause after a failed chunk."""

    def __init__(
        self,
        reader: JobReader,
        annotator: Annotator,
        dependencies: Dependencies,
        publisher: Publisher,
        numbers: ArchiverNumbers,
        *,
        ack_wait_s: float,
        max_pause_s: float,
    ) -> None:
        self._reader = reader
        self._annotator = annotator
        self._dependencies = dependencies
        self._publisher = publisher
        self._numbers = numbers
        self._ack_wait_s = ack_wait_s
        self._max_pause_s = max_pause_s
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(MAX_QUEUED)
        self._held: set[Delivery] = set()

    async def submit(self, delivery: Delivery) -> None:
        """Add a TagRemoved that jobstore has applied."""
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
                jobs, failed = await self._update_entries(delivery.sequence)
                await delivery.ack()
                self._held.discard(delivery)
                self._numbers.outcome("annotated")
                log.info("tag_removed_from_archive", sequence=delivery.sequence, jobs=jobs, failed=failed)

    async def hand_back(self) -> None:
        for delivery in self._held:
            await delivery.hand_back()
        self._held.clear()

    async def _update_entries(self, sequence: int) -> tuple[int, int]:
        """Update all jobs changed since ``sequence``; returns the number of jobs, and of those that failed."""
        pause = Backoff(first_s=min(RETRY_PAUSE_S, self._max_pause_s), max_s=self._max_pause_s)
        after, count = (sequence, 0), 0
        failed: set[int] = set()  # a job whose archiving is requested changes, and is found again
        while True:
            try:
                jobs = await self._reader.changed_since(after, limit=JOBS_PER_CHUNK)
                failures = [work for work in await self._update(jobs) if work.job.id not in failed]
                await self._archive_again(sequence, failures)
            except Exception as e:  # noqa: BLE001 - the remaining chunks must not be lost
                log.warning("tag_removal_waits", sequence=sequence, jobs=count, why=describe(e))
                await asyncio.sleep(pause.next_s())
                continue
            for work in failures[: max(0, MAX_LOGGED - len(failed))]:
                log.warning("entry_not_updated", job=work.job.id, why=describe(work.error) if work.error is not None else "")
            if not jobs:
                return count, len(failed)
            pause.reset()
            count += len(jobs)
            failed.update(work.job.id for work in failures)
            after = jobs[-1].changed_seq, jobs[-1].id

    async def _update(self, jobs: Sequence[JobRecord]) -> list[Work]:
        """Returns the works that failed by themselves. Raises the error of an outage."""
        failures = await self._annotator.update(jobs)
        for work in failures:
            error = work.error
            if error is not None and await self._dependencies.is_to_blame(error, work.job.cluster, bytes_needed=work.size):
                raise error
        return failures

    async def _archive_again(self, sequence: int, failures: Sequence[Work]) -> None:
        """Raises Unavailable."""
        now = datetime.now(UTC)
        requests = [
            Envelope(
                JobArchiveRequested(id=work.job.id, cluster=work.job.cluster),
                f"tag-removal:{sequence}:{work.job.id}",
                "jobtide/archiver",
                now,
            )
            for work in failures
        ]
        if requests:
            await self._publisher.publish(requests)
            self._numbers.outcome("retried", len(requests))

    async def _signal_progress(self) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for delivery in list(self._held):
                with suppress(Exception):
                    await delivery.in_progress()
