"""Loads metric data, writes entries in groups, publishes JobArchived and acknowledges the events.

Three stages with bounded queues between them. The events of each work are either acknowledged or handed back, exactly once.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import structlog

from services.archiver.advice import Adviser
from services.archiver.annotations import Annotator
from services.archiver.budget import MemoryBudget
from services.archiver.dependencies import Dependencies
from services.archiver.failures import Failures, describe
from services.archiver.folder import ArchiveFolder
from services.archiver.prometheus import ArchiverNumbers, Outcome
from services.archiver.settings import Settings
from services.archiver.work import Work, perform
from shared.archive import ArchiveStore
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
FULL_QUEUE_S = 1.0  # between two looks at a place whose queue is full
OUTAGE_PAUSE_S = 30.0  # redelivery delay of jobs whose archive, metric store or broker is unavailable


class Pipeline:
    """``source`` None: the site has no metric data."""

    def __init__(
        self,
        settings: Settings,
        folder: ArchiveFolder,
        clusters: Mapping[str, Cluster],
        source: MetricSource | None,
        publisher: Publisher,
        annotator: Annotator,
        dependencies: Dependencies,
        numbers: ArchiverNumbers,
        adviser: Adviser | None = None,
    ) -> None:
        own = settings.archiver
        self._settings = settings
        self._clusters = clusters
        self._source = source
        self._publisher = publisher
        self._annotator = annotator
        self._dependencies = dependencies
        self._numbers = numbers
        self._adviser = adviser
        self._folder = folder
        self._archive = folder.store
        self._failures = Failures(first_s=own.retry_first_s, max_s=own.retry_max_s)
        self._budget = MemoryBudget(own.memory_mb * MIB)
        self._to_load: asyncio.Queue[Work] = asyncio.Queue()  # bounded by ``limit``
        self._to_write: dict[ArchiveStore, asyncio.Queue[Work]] = {
            place: asyncio.Queue(own.group if source is None else own.jobs) for place in folder.store.parts()
        }
        # A queue for each place: before jobs are published, their entries may be changed once more.
        self._to_publish: dict[ArchiveStore, asyncio.Queue[Work]] = {place: asyncio.Queue(own.group * 4) for place in folder.store.parts()}
        self._works: dict[int, Work] = {}
        self._changed = asyncio.Event()
        self._metrics: dict[tuple[str, str], tuple[Cluster, Sequence[Metric]]] = {}
        self.limit = max(own.batch * 3, own.jobs * 2, own.group * own.threads * 2)

    @property
    def in_hand(self) -> int:
        return len(self._works)

    def holds(self, job: int) -> bool:
        """Whether the job is in the pipeline."""
        return job in self._works

    def submit(self, work: Work) -> None:
        """Add work for a job that is not in the pipeline. From now on, the pipeline acknowledges or hands back its events."""
        work.taken_at = time.monotonic()
        self._works[work.job.id] = work
        self._to_load.put_nowait(work)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait until a job has left the pipeline, or for ``timeout_s``."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    async def _remove(self, work: Work) -> None:
        if self._works.pop(work.job.id, None) is None:
            return
        if work.weight:
            await self._budget.release(work.weight)
            work.weight = 0
        work.release_data()
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled."""
        own = self._settings.archiver
        pools = {place: ThreadPoolExecutor(own.threads, thread_name_prefix="archive") for place in self._to_write}
        try:
            async with asyncio.TaskGroup() as stages:
                for number in range(own.jobs):
                    stages.create_task(self._load(), name=f"load-{number}")
                for place, pool in pools.items():
                    for number in range(own.threads):
                        stages.create_task(self._write(place, pool), name=f"write-{place.address}-{number}")
                    stages.create_task(self._publish(self._to_publish[place]), name=f"publish-{place.address}")
                stages.create_task(self._signal_progress(), name="progress")
        finally:
            for pool in pools.values():
                pool.shutdown(wait=False, cancel_futures=True)

    async def drain(self, grace_s: float) -> None:
        """Wait at most ``grace_s`` until the pipeline is empty."""
        give_up = time.monotonic() + grace_s
        while self._works and (left_s := give_up - time.monotonic()) > 0:
            await self.wait_for_change(left_s)

    async def hand_back(self) -> None:
        """Hand the remaining events back, for other replicas."""
        for work in list(self._works.values()):
            for delivery in work.deliveries:
                await delivery.hand_back()
        self._works.clear()

    async def _load(self) -> None:
        while True:
            work = await self._to_load.get()
            if (dependency := self._dependencies.blocking(work.job.cluster, needs_data=work.archives)) is not None:
                await self._wait(work, dependency.error)
                continue
            try:
                await self._load_one(work)
            except Exception as e:  # noqa: BLE001 - one job's failure must not stop the stage
                await self._failed(work, e)
                continue
            await self._pass_on(work)

    async def _pass_on(self, work: Work) -> None:
        """Queue the work for the writers of its place, unless that fails while the queue is full: the other places must not wait for it."""
        queue = self._to_write[self._archive.part_of(work.job.cluster)]
        while True:
            try:
                async with asyncio.timeout(FULL_QUEUE_S):
                    await queue.put(work)
                return
            except TimeoutError:
                if (dependency := self._dependencies.blocking(work.job.cluster, needs_data=False)) is not None:
                    await self._wait(work, dependency.error)
                    return

    async def _load_one(self, work: Work) -> None:
        job = work.job
        if work.is_archived and await self._folder.is_complete(job.path):
            work.skip_archiving()
        if not work.archives:
            return
        await self._folder.prepare(job.cluster)
        cluster = work.cluster = self._clusters.get(job.cluster)
        if self._source is None:
            return
        if cluster is None:
            raise Unavailable(f"the cluster {job.cluster!r} is not configured")
        work.metrics = self._metrics_on(cluster, str(job.row["subcluster"]))
        started = time.perf_counter()
        request = request_of(job.row, cluster, finest_scope_nodes=self._settings.archiver.finest_scope_nodes)
        work.weight = await self._budget.acquire(bytes_of(request, work.metrics))
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

    async def _write(self, place: ArchiveStore, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            works = await _available(self._to_write[place], self._settings.archiver.group)
            started = time.perf_counter()
            try:
                await loop.run_in_executor(pool, perform, self._archive, works, self._adviser)
            except Exception as e:  # noqa: BLE001 - see above
                for work in works:
                    work.error = e
            self._numbers.stage("write", time.perf_counter() - started)
            for work in works:
                if work.error is not None:
                    await self._failed(work, work.error)
                else:
                    await self._to_publish[place].put(work)

    async def _publish(self, queue: asyncio.Queue[Work]) -> None:
        while True:
            works = await _available(queue, 256)
            started = time.perf_counter()
            try:
                await self._annotator.settle([work for work in works if work.archives or work.annotates])
                for work in [work for work in works if work.error is not None]:
                    works.remove(work)
                    await self._failed(work, work.error or AssertionError("unreachable"))
                works = [work for work in works if not (work.archives and await self._archive_again(work))]
                await self._publisher.publish([envelope for work in works for envelope in self._envelopes(work)])
            except Unavailable as e:
                for work in works:
                    await self._wait(work, e)
                continue
            except Refused as e:
                for work in works:
                    await self._failed(work, e)
                continue
            self._numbers.stage("publish", time.perf_counter() - started)
            for work in works:
                await self._succeeded(work)

    @staticmethod
    def _envelopes(work: Work) -> list[Envelope]:
        if not work.archives:
            return []
        assert work.results is not None
        event = JobArchived(
            id=work.job.id,
            cluster=work.job.cluster,
            footprint=work.results.footprint,
            energy=work.results.energy,
            energy_footprint=work.results.energy_footprint,
            stop_seq=work.job.row["stop_seq"],
        )
        now, occasion = datetime.now(UTC), f"{work.job.id}:{work.sequence}:{event.stop_seq}"
        archived = Envelope(event, f"archived:{occasion}", SOURCE, now)
        return [archived] if work.advised is None else [archived, Envelope(work.advised, f"advised:{occasion}", SOURCE, now)]

    async def _succeeded(self, work: Work) -> None:
        for delivery in work.deliveries:
            await delivery.ack()
        self._failures.forget(work.sequence)
        if work.archives:
            self._numbers.archived(time.monotonic() - work.taken_at)
        else:
            self._numbers.outcome("annotated" if work.annotates else "nothing")
        await self._remove(work)

    async def _failed(self, work: Work, error: Exception) -> None:
        """Hand the events back with a delay, or publish the failure after the last attempt. An outage is not an attempt."""
        if await self._dependencies.is_to_blame(error, work.job.cluster, bytes_needed=work.size):
            await self._wait(work, error)
            return
        own = self._settings.archiver
        count = self._failures.count(work.sequence)
        is_known = isinstance(error, Unavailable | SourceRefused | OSError)
        # One warning per job at its first failure, and an error in _give_up: an outage of hours fails many jobs many times.
        log_failure = log.warning if count == 1 else log.debug
        log_failure("job_not_archived", job=work.job.id, tries=count, why=describe(error), exc_info=None if is_known else error)
        if count >= own.tries and not work.archives:
            self._rewrite(work, error)
            return
        if count >= own.tries or isinstance(error, SourceRefused):
            try:
                await self._give_up(work, error, count)
            except (Unavailable, Refused) as e:
                log.warning("failure_not_published", job=work.job.id, why=str(e))
            else:
                await self._remove(work)
                return
        await self._hand_back(work, self._failures.pause_s(count), "retried")

    async def _wait(self, work: Work, error: Exception | None) -> None:
        """Hand the events back until the outage is over. It is logged by the dependency, not for each job."""
        log.debug("job_waits", job=work.job.id, why=describe(error) if error is not None else "")
        await self._hand_back(work, min(OUTAGE_PAUSE_S, self._settings.archiver.retry_max_s) * random.uniform(0.67, 1.0), "waiting")

    async def _hand_back(self, work: Work, pause_s: float, outcome: Outcome) -> None:
        for delivery in work.deliveries:
            await delivery.hand_back(pause_s)
        self._numbers.outcome(outcome)
        await self._remove(work)

    async def _archive_again(self, work: Work) -> bool:
        """Start over if the job has got a different end. Returns whether it did.

        A job that runs again needs no archiving: another stop event will end it.
        """
        if work.changed_job is None:
            return False
        if work.changed_job.is_running:
            work.skip_archiving()
            return False
        work.job, work.changed_job, work.is_archived = work.changed_job, None, False
        await self._budget.release(work.weight)
        work.weight = 0
        self._to_load.put_nowait(work)
        return True

    def _rewrite(self, work: Work, error: Exception) -> None:
        """Archive the job again, because its entry cannot be updated, for example if meta.json is damaged. Metric data are preserved."""
        log.warning("entry_rewritten", job=work.job.id, why=describe(error))
        self._failures.forget(work.sequence)
        work.archives, work.is_archived, work.error = True, False, None
        self._to_load.put_nowait(work)

    async def _give_up(self, work: Work, error: Exception, tries: int) -> None:
        event = JobArchivingFailed(
            id=work.job.id, cluster=work.job.cluster, reason=describe(error), attempts=tries, stop_seq=work.job.row["stop_seq"]
        )
        await self._publisher.publish(
            [Envelope(event, f"archiving-failed:{work.job.id}:{work.sequence}", SOURCE, datetime.now(UTC))], deadline_s=20.0
        )
        log.error("archiving_given_up", job=work.job.id, tries=tries, why=describe(error))
        for delivery in work.deliveries:
            await delivery.ack()
        self._failures.forget(work.sequence)
        self._numbers.outcome("failed")

    async def _signal_progress(self) -> None:
        """Send in-progress signals, so that long work is not redelivered to another replica."""
        while True:
            await asyncio.sleep(self._settings.archiver.ack_wait_s / 3)
            for work in list(self._works.values()):
                for delivery in work.deliveries:
                    await delivery.in_progress()


async def _available(queue: asyncio.Queue[Work], limit: int) -> list[Work]:
    """Wait for one item, then take all queued ones, up to ``limit``."""
    works = [await queue.get()]
    while len(works) < limit and not queue.empty():
        works.append(queue.get_nowait())
    return works
