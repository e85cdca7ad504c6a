"""Works on their way: metric data are loaded, entries written in groups, JobArchived published, events acknowledged.

Three stages with bounded queues between them; each work leaves by exactly one door: acknowledged, or handed back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import structlog

from services.archiver.budget import Budget
from services.archiver.failures import Failures, describe, is_out_of_room
from services.archiver.numbers import ArchiverNumbers
from services.archiver.settings import Settings
from services.archiver.work import Work, perform
from shared.archive import is_complete
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.clusters import Cluster, Metric
from shared.domain.events import JobArchived, JobArchivingFailed
from shared.errors import Refused, Unavailable
from shared.metricdata.request import bytes_of, request_of
from shared.metricdata.source import MetricSource, SourceRefused

log = structlog.get_logger()

SOURCE = "jobtide/archiver"
MIB = 1024 * 1024


class Pipeline:
    """``source`` None: the site has no metric data. ``prepare`` brings a cluster.json into the archive, once per cluster."""

    def __init__(
        self,
        settings: Settings,
        clusters: Mapping[str, Cluster],
        source: MetricSource | None,
        publisher: Publisher,
        prepare: Callable[[str], Awaitable[None]],
        numbers: ArchiverNumbers,
    ) -> None:
        own = settings.archiver
        self._settings = settings
        self._clusters = clusters
        self._source = source
        self._publisher = publisher
        self._prepare = prepare
        self._numbers = numbers
        self._root = settings.archive.path
        self._failures = Failures(first_s=own.retry_first_s, most_s=own.retry_most_s)
        self._budget = Budget(own.memory_mb * MIB)
        self._to_load: asyncio.Queue[Work] = asyncio.Queue()  # bounded by ``limit``
        self._to_write: asyncio.Queue[Work] = asyncio.Queue(own.group if source is None else own.jobs)
        self._to_publish: asyncio.Queue[Work] = asyncio.Queue(own.group * 4)
        self._works: dict[int, Work] = {}
        self._changed = asyncio.Event()
        self._metrics: dict[tuple[str, str], tuple[Cluster, Sequence[Metric]]] = {}
        self.limit = max(own.batch * 3, own.jobs * 2, own.group * own.threads * 2)

    # in and out

    @property
    def in_hand(self) -> int:
        return len(self._works)

    def holds(self, job: int) -> bool:
        """Whether a work about the job is under way."""
        return job in self._works

    def submit(self, work: Work) -> None:
        """Take a work about a job that is not under way; it is acknowledged or handed back from here."""
        work.taken_at = time.monotonic()
        self._works[work.job.id] = work
        self._to_load.put_nowait(work)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Until a work has left, or ``timeout_s`` is over."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    async def _leave(self, work: Work) -> None:
        if self._works.pop(work.job.id, None) is None:
            return
        if work.weight:
            await self._budget.give_back(work.weight)
            work.weight = 0
        work.release_data()
        self._changed.set()

    # the stages

    async def run(self) -> None:
        """Work until cancelled."""
        own = self._settings.archiver
        pool = ThreadPoolExecutor(own.threads, thread_name_prefix="archive")
        try:
            async with asyncio.TaskGroup() as stages:
                for number in range(own.jobs):
                    stages.create_task(self._load(), name=f"load-{number}")
                for number in range(own.threads):
                    stages.create_task(self._write(pool), name=f"write-{number}")
                stages.create_task(self._publish(), name="publish")
                stages.create_task(self._keep(), name="keep")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def drain(self, grace_s: float) -> None:
        """Let what is in hand finish, for at most ``grace_s``."""
        give_up = time.monotonic() + grace_s
        while self._works and (left_s := give_up - time.monotonic()) > 0:
            await self.wait_for_change(left_s)

    async def hand_back(self) -> None:
        """Offer what is still in hand to other replicas."""
        for work in list(self._works.values()):
            for delivery in work.deliveries:
                await delivery.hand_back()
        self._works.clear()

    async def _load(self) -> None:
        while True:
            work = await self._to_load.get()
            try:
                await self._load_one(work)
            except Exception as e:  # noqa: BLE001 - whatever it is, it concerns this job and is told with it
                await self._failed(work, e)
                continue
            await self._to_write.put(work)

    async def _load_one(self, work: Work) -> None:
        job = work.job
        if work.is_archived and await asyncio.to_thread(is_complete, self._root, job.path):
            work.keep_entry()
        if not work.archives:
            return
        await self._prepare(job.cluster)
        if self._source is None:
            return
        cluster = self._clusters.get(job.cluster)
        if cluster is None:
            raise Unavailable(f"the cluster {job.cluster!r} is not configured")
        work.metrics = self._metrics_on(cluster, str(job.row["subcluster"]))
        started = time.perf_counter()
        request = request_of(job.row, cluster, finest_scope_nodes=self._settings.archiver.finest_scope_nodes)
        work.weight = await self._budget.take(bytes_of(request, work.metrics))
        loaded = await self._source.load(request)
        if loaded.problems:
            log.warning("metric_data_incomplete", job=job.id, problems=len(loaded.problems), first=loaded.problems[0][:300])
        work.data = loaded.data
        self._numbers.stage("load", time.perf_counter() - started)

    def _metrics_on(self, cluster: Cluster, subcluster: str) -> Sequence[Metric]:
        known = self._metrics.get((cluster.name, subcluster))
        if known is None or known[0] is not cluster:
            known = self._metrics[cluster.name, subcluster] = (cluster, cluster.metrics_on(subcluster))
        return known[1]

    async def _write(self, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            works = await _some(self._to_write, self._settings.archiver.group)
            started = time.perf_counter()
            try:
                await loop.run_in_executor(pool, perform, self._root, works)
            except Exception as e:  # noqa: BLE001 - see above
                for work in works:
                    work.error = e
            self._numbers.stage("write", time.perf_counter() - started)
            for work in works:
                if work.error is not None:
                    await self._failed(work, work.error)
                else:
                    await self._to_publish.put(work)

    async def _publish(self) -> None:
        while True:
            works = await _some(self._to_publish, 256)
            started = time.perf_counter()
            try:
                await self._publisher.publish([envelope for work in works if (envelope := self._archived(work)) is not None])
            except (Unavailable, Refused) as e:
                for work in works:
                    await self._failed(work, e)
                continue
            self._numbers.stage("publish", time.perf_counter() - started)
            for work in works:
                await self._succeeded(work)

    @staticmethod
    def _archived(work: Work) -> Envelope | None:
        if not work.archives:
            return None
        assert work.results is not None
        event = JobArchived(
            id=work.job.id,
            cluster=work.job.cluster,
            footprint=work.results.footprint,
            energy=work.results.energy,
            energy_footprint=work.results.energy_footprint,
        )
        return Envelope(event, f"archived:{work.job.id}:{work.sequence}", SOURCE, datetime.now(UTC))

    async def _succeeded(self, work: Work) -> None:
        for delivery in work.deliveries:
            await delivery.ack()
        self._failures.forget(work.sequence)
        if work.archives:
            self._numbers.archived(time.monotonic() - work.taken_at)
        else:
            self._numbers.outcome("annotated" if work.annotates else "nothing")
        await self._leave(work)

    async def _failed(self, work: Work, error: Exception) -> None:
        """Hand it back with a pause, or, after the last try, say so in the log."""
        own = self._settings.archiver
        count = self._failures.count(work.sequence)
        waits_for_room = is_out_of_room(error) and not own.gives_up_when_full
        is_known = isinstance(error, Unavailable | SourceRefused | OSError)
        # Told at its first failure and at its end, see _give_up; a store or disk that is away for hours fails many jobs often.
        tell = log.warning if count == 1 else log.debug
        tell("job_not_archived", job=work.job.id, tries=count, why=describe(error), exc_info=None if is_known else error)
        if (count >= own.tries and not waits_for_room) or isinstance(error, SourceRefused):
            try:
                await self._give_up(work, error, count)
            except (Unavailable, Refused) as e:
                log.warning("failure_not_published", job=work.job.id, why=str(e))
            else:
                await self._leave(work)
                return
        pause_s = self._failures.pause_s(count)
        for delivery in work.deliveries:
            await delivery.hand_back(pause_s)
        self._numbers.outcome("retried")
        await self._leave(work)

    async def _give_up(self, work: Work, error: Exception, tries: int) -> None:
        if work.archives:
            event = JobArchivingFailed(id=work.job.id, cluster=work.job.cluster, reason=describe(error), attempts=tries)
            await self._publisher.publish(
                [Envelope(event, f"archiving-failed:{work.job.id}:{work.sequence}", SOURCE, datetime.now(UTC))], deadline_s=20.0
            )
        log.error("archiving_given_up", job=work.job.id, tries=tries, why=describe(error))
        for delivery in work.deliveries:
            await delivery.ack()
        self._failures.forget(work.sequence)
        self._numbers.outcome("failed")

    async def _keep(self) -> None:
        """Long work must not be offered to another replica meanwhile."""
        while True:
            await asyncio.sleep(self._settings.archiver.ack_wait_s / 3)
            for work in list(self._works.values()):
                for delivery in work.deliveries:
                    await delivery.keep()


async def _some(queue: asyncio.Queue[Work], most: int) -> list[Work]:
    """What the queue has, after waiting for the first one."""
    works = [await queue.get()]
    while len(works) < most and not queue.empty():
        works.append(queue.get_nowait())
    return works
