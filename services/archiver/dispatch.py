"""The loop that fetches events from the queue, waits for jobstore, and submits work to the pipeline."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from services.archiver.dependencies import Dependencies
from services.archiver.jobs import Found, JobReader
from services.archiver.judge import Annotate, Archive, Later, Nothing, RemoveTag, judge
from services.archiver.pipeline import Pipeline
from services.archiver.progress import ProgressWatch
from services.archiver.prometheus import ArchiverNumbers
from services.archiver.queue import Delivery, WorkQueue
from services.archiver.settings import Settings
from services.archiver.tag_removals import TagRemovals
from services.archiver.work import Work
from shared.backoff import Backoff, sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.domain.events import JobAdviceMuted, JobAdvised, JobArchiveRequested, JobMetadataEdited, JobStopped, JobTagged, JobUntagged
from shared.domain.recorded import Recorded
from shared.errors import ConsumerLost, Unavailable

log = structlog.get_logger()

POSITION_WAIT_S = 5.0  # interval of in-progress signals while waiting for jobstore
BEHIND_PAUSE_S = 5.0  # redelivery delay of events that jobstore has not reached
BUSY_PAUSE_S = 2.0  # redelivery delay of events about a job that is in the pipeline
OBSERVE_S = 5.0
OUTAGE_POLL_S = 0.5
YIELD_POLL_S = 0.5
MAX_YIELDS = 20  # pauses in a row, after which one batch is fetched regardless


class Dispatcher:
    """``tick`` is called in each iteration."""

    def __init__(
        self,
        settings: Settings,
        queue: WorkQueue,
        reader: JobReader,
        progress: ProgressWatch,
        pipeline: Pipeline,
        dependencies: Dependencies,
        tag_removals: TagRemovals,
        numbers: ArchiverNumbers,
        *,
        tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._reader = reader
        self._progress = progress
        self._pipeline = pipeline
        self._dependencies = dependencies
        self._tag_removals = tag_removals
        self._numbers = numbers
        self._tick = tick
        self._observed_at = 0.0

    async def run(self, stop: asyncio.Event, clusters: ClusterDirectory, *, on_bound: Callable[[], None]) -> None:
        """Process events until ``stop``. Binds again after the consumer or the broker was lost."""
        pause = Backoff(first_s=0.2, max_s=5.0)
        is_reported = False
        while not stop.is_set():
            self._tick()
            try:
                await clusters.refresh()
                await self._queue.bind(stop)
                if not is_reported:
                    on_bound()
                    is_reported = True
                while not stop.is_set():
                    await self._iterate(stop)
                    pause.reset()
            except ConsumerLost as e:
                log.warning("archive_queue_lost", why=str(e))
                await pause.wait(stop)
            except Unavailable as e:
                log.warning("archiving_waits", why=str(e))
                await pause.wait(stop)

    async def _iterate(self, stop: asyncio.Event) -> None:
        self._tick()
        await self._observe()
        room = self._pipeline.limit - self._pipeline.in_hand
        if room <= 0:
            await self._queue.hand_back_buffered()
            await self._pipeline.wait_for_change(1.0)
            return
        if self._dependencies.blocks_all:
            await self._queue.hand_back_buffered()
            await sleep_unless(stop, OUTAGE_POLL_S)
            return
        await self._yield_to_jobstore(stop)
        deliveries = await self._queue.fetch(min(room, self._settings.archiver.batch))
        if not deliveries:
            return
        try:
            if stop.is_set() or not await self._wait_for_jobstore(deliveries, stop):
                await self._hand_back(deliveries, None if stop.is_set() else BEHIND_PAUSE_S)
                return
            found = await self._find(deliveries)
            if found is None:
                self._progress.observe(await self._reader.progress())
                await self._hand_back(deliveries, BEHIND_PAUSE_S)
                return
        except Unavailable:
            await self._hand_back(deliveries, BEHIND_PAUSE_S)
            raise
        await self._dispatch(deliveries, found)

    async def _yield_to_jobstore(self, stop: asyncio.Event) -> None:
        """Events have priority: pause archiving, for a bounded time, while jobstore is far behind and catching up."""
        threshold = self._settings.archiver.gives_way_from
        previous = -1
        for _ in range(MAX_YIELDS if threshold else 0):
            now = (await self._reader.progress()).events
            if now == previous or await self._queue.last_sequence() - now < threshold or await sleep_unless(stop, YIELD_POLL_S):
                return
            self._tick()
            previous = now

    async def _observe(self) -> None:
        if time.monotonic() - self._observed_at < OBSERVE_S:
            return
        self._observed_at = time.monotonic()
        info = await self._queue.info()  # detects a lost consumer, which an idle fetch may not
        self._numbers.queue(pending=info.num_pending or 0, waiting=info.num_ack_pending or 0, in_hand=self._pipeline.in_hand)

    async def _wait_for_jobstore(self, deliveries: Sequence[Delivery], stop: asyncio.Event) -> bool:
        last = max(delivery.sequence for delivery in deliveries)
        give_up = time.monotonic() + self._settings.archiver.ack_wait_s
        while not stop.is_set() and time.monotonic() < give_up:
            if await self._progress.wait(last, deliveries[0].stream_created, timeout_s=POSITION_WAIT_S):
                return True
            self._tick()
            for delivery in deliveries:
                await delivery.in_progress()
        return False

    async def _find(self, deliveries: Sequence[Delivery]) -> Found | None:
        stops: dict[int, JobStopped] = {}
        ids: set[int] = set()
        for delivery in deliveries:
            match delivery.record:
                case Recorded(event=JobStopped() as stopped):
                    stops[delivery.sequence] = stopped
                case Recorded(
                    event=JobArchiveRequested(id=id_)
                    | JobTagged(id=id_)
                    | JobUntagged(id=id_)
                    | JobAdvised(id=id_)
                    | JobAdviceMuted(id=id_)
                    | JobMetadataEdited(id=id_)
                ):
                    ids.add(id_)
        last = max(delivery.sequence for delivery in deliveries)
        return await self._reader.find(stops, sorted(ids), through=last, stream_created=deliveries[0].stream_created)

    async def _dispatch(self, deliveries: Sequence[Delivery], found: Found) -> None:
        work_by_job: dict[int, Work] = {}
        for delivery in deliveries:
            match judge(delivery.record, delivery.attempt, found):
                case (Archive(job=job) | Annotate(job=job)) as verdict:
                    if self._pipeline.holds(job.id):
                        await self._later(delivery, BUSY_PAUSE_S)
                        continue
                    work = work_by_job.setdefault(job.id, Work(job, []))
                    work.deliveries.append(delivery)
                    if isinstance(verdict, Archive):
                        work.archives, work.is_archived = True, verdict.is_archived
                    else:
                        work.annotates = True
                case RemoveTag():
                    await self._tag_removals.submit(delivery)
                case Later(pause_s=pause_s):
                    await self._later(delivery, pause_s)
                case Nothing():
                    await delivery.ack()
                    self._numbers.outcome("nothing")
        for work in work_by_job.values():
            self._pipeline.submit(work)

    async def _later(self, delivery: Delivery, pause_s: float) -> None:
        await delivery.hand_back(pause_s)
        self._numbers.outcome("later")

    async def _hand_back(self, deliveries: Sequence[Delivery], pause_s: float | None) -> None:
        for delivery in deliveries:
            await self._later(delivery, pause_s or 0.0)
