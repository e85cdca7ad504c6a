"""The loop that takes events from the queue, waits for jobstore, and hands works to the pipeline."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from services.archiver.jobs import Found, JobReader
from services.archiver.judge import Annotate, Archive, Later, Nothing, judge
from services.archiver.numbers import ArchiverNumbers
from services.archiver.pipeline import Pipeline
from services.archiver.position import PositionWatch
from services.archiver.queue import Delivery, WorkQueue
from services.archiver.settings import Settings
from services.archiver.work import Work
from shared.backoff import Backoff, sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.broker.streams import EVENTS
from shared.domain.events import JobArchiveRequested, JobMetadataEdited, JobStopped, JobTagged, JobUntagged
from shared.domain.recorded import Recorded
from shared.errors import ConsumerLost, Unavailable

log = structlog.get_logger()

POSITION_WAIT_S = 5.0  # at a time; the events stay in hand, and are kept from being offered elsewhere
BEHIND_PAUSE_S = 5.0  # events are handed back for so long when jobstore did not reach them
BUSY_PAUSE_S = 2.0
NUMBERS_S = 5.0
GIVE_WAY_S = 0.5
GIVE_WAY_TURNS = 20  # then one batch is taken all the same


class Intake:
    """``tick`` is told at each turn."""

    def __init__(
        self,
        settings: Settings,
        queue: WorkQueue,
        reader: JobReader,
        position: PositionWatch,
        pipeline: Pipeline,
        numbers: ArchiverNumbers,
        *,
        tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._reader = reader
        self._position = position
        self._pipeline = pipeline
        self._numbers = numbers
        self._tick = tick
        self._numbers_at = 0.0

    async def run(self, stop: asyncio.Event, clusters: ClusterDirectory, *, on_bound: Callable[[], None]) -> None:
        """Take events until ``stop``; binds again whenever the consumer or the broker was away."""
        pause = Backoff(first_s=0.2, most_s=5.0)
        is_reported = False
        while not stop.is_set():
            self._tick()
            try:
                await clusters.refresh()
                await self._queue.bind()
                if not is_reported:
                    on_bound()
                    is_reported = True
                while not stop.is_set():
                    await self._turn(stop)
                    pause.reset()
            except ConsumerLost as e:
                log.warning("archive_queue_lost", why=str(e))
                await pause.wait(stop)
            except Unavailable as e:
                log.warning("archiving_waits", why=str(e))
                await pause.wait(stop)

    async def _turn(self, stop: asyncio.Event) -> None:
        self._tick()
        await self._observe()
        room = self._pipeline.limit - self._pipeline.in_hand
        if room <= 0:
            await self._queue.hand_back_buffered()
            await self._pipeline.wait_for_change(1.0)
            return
        await self._give_way(stop)
        deliveries = await self._queue.fetch(min(room, self._settings.archiver.batch))
        if not deliveries:
            return
        try:
            if stop.is_set() or not await self._wait_for_jobstore(deliveries, stop):
                await self._hand_back(deliveries, None if stop.is_set() else BEHIND_PAUSE_S)
                return
            found = await self._find(deliveries)
        except Unavailable:
            await self._hand_back(deliveries, BEHIND_PAUSE_S)
            raise
        await self._dispatch(deliveries, found)

    async def _give_way(self, stop: asyncio.Event) -> None:
        """Events go before archiving: wait while jobstore is far behind and moving, but never for long."""
        most = self._settings.archiver.gives_way_from
        seen = -1
        for _ in range(GIVE_WAY_TURNS if most else 0):
            now = (await self._reader.position(EVENTS)).sequence
            if now == seen or await self._queue.last_sequence() - now < most or await sleep_unless(stop, GIVE_WAY_S):
                return
            self._tick()
            seen = now

    async def _observe(self) -> None:
        if time.monotonic() - self._numbers_at < NUMBERS_S:
            return
        self._numbers_at = time.monotonic()
        info = await self._queue.info()  # raises ConsumerLost too, which an idle fetch may not
        self._numbers.queue(pending=info.num_pending or 0, waiting=info.num_ack_pending or 0, in_hand=self._pipeline.in_hand)

    async def _wait_for_jobstore(self, deliveries: Sequence[Delivery], stop: asyncio.Event) -> bool:
        last = max(delivery.sequence for delivery in deliveries)
        give_up = time.monotonic() + self._settings.archiver.ack_wait_s
        while not stop.is_set() and time.monotonic() < give_up:
            if await self._position.wait(last, deliveries[0].stream_created, timeout_s=POSITION_WAIT_S):
                return True
            self._tick()
            for delivery in deliveries:
                await delivery.keep()
        return False

    async def _find(self, deliveries: Sequence[Delivery]) -> Found:
        stops: dict[int, JobStopped] = {}
        ids: set[int] = set()
        for delivery in deliveries:
            match delivery.record:
                case Recorded(event=JobStopped() as stopped):
                    stops[delivery.sequence] = stopped
                case Recorded(event=JobArchiveRequested(id=id_) | JobTagged(id=id_) | JobUntagged(id=id_) | JobMetadataEdited(id=id_)):
                    ids.add(id_)
        return await self._reader.find(stops, sorted(ids))

    async def _dispatch(self, deliveries: Sequence[Delivery], found: Found) -> None:
        works: dict[int, Work] = {}
        for delivery in deliveries:
            match judge(delivery.record, delivery.times, found):
                case (Archive(job=job) | Annotate(job=job)) as verdict:
                    if self._pipeline.holds(job.id):
                        await self._later(delivery, BUSY_PAUSE_S)
                        continue
                    work = works.setdefault(job.id, Work(job, []))
                    work.deliveries.append(delivery)
                    if isinstance(verdict, Archive):
                        work.archives, work.is_archived = True, verdict.is_archived
                    else:
                        work.annotates = True
                case Later(pause_s=pause_s):
                    await self._later(delivery, pause_s)
                case Nothing():
                    await delivery.ack()
                    self._numbers.outcome("nothing")
        for work in works.values():
            self._pipeline.submit(work)

    async def _later(self, delivery: Delivery, pause_s: float) -> None:
        await delivery.hand_back(pause_s)
        self._numbers.outcome("later")

    async def _hand_back(self, deliveries: Sequence[Delivery], pause_s: float | None) -> None:
        for delivery in deliveries:
            await self._later(delivery, pause_s or 0.0)
