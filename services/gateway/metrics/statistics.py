"""Statistics of metric data for one job, for its nodes and their parts, and for many jobs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
import structlog

from services.gateway.errors import RequestError
from services.gateway.metrics.jobs import JobMetrics
from services.gateway.metrics.model import NamedMetric
from services.gateway.metrics.selection import NODE, MetricSelection
from services.gateway.reading.model import StoredJob
from shared.domain.values import ARCHIVED
from shared.errors import Unavailable
from shared.metricdata import Statistics
from shared.metricdata.postprocess import rounded
from shared.metricdata.results import job_statistics

log = structlog.get_logger()

Json = dict[str, Any]
T = TypeVar("T")
STORED_SCOPES_MAX_NODES = 64  # with more nodes, the statistics of every core take megabytes
NO_STATISTICS = Statistics(0.0, 0.0, 0.0)
ByMetric = dict[str, Statistics]


@dataclass(frozen=True, slots=True)
class NamedStatistics:
    name: str
    data: Statistics


class JobStatistics:
    """Queries over many jobs load ``loads`` jobs at a time, and return the loaded ones after ``timeout_s``."""

    def __init__(self, jobs: JobMetrics, *, loads: int, timeout_s: float) -> None:
        self._jobs = jobs
        self._slots = asyncio.Semaphore(loads)
        self._timeout_s = timeout_s

    async def of(self, job: StoredJob, metrics: Sequence[str]) -> list[NamedStatistics]:
        """One element per metric, in the order of ``metrics``. A metric without data has zeros.

        Raises RequestError when the archive cannot be read, Unavailable when the metric store is down.
        """
        if not metrics:
            return []
        if self._jobs.comes_from_store(job):
            found = await self._of_running(job, metrics)
        else:
            found = (await self._of_archived([job])).get(job.id, {})
            if not found and job.monitoring_status == ARCHIVED:
                await self._jobs.archive.version(job)  # raises when the entry cannot be read
        return named(found, metrics)

    async def of_parts(self, job: StoredJob, metrics: Sequence[str] | None, scopes: Sequence[str] | None) -> Sequence[NamedMetric]:
        """Statistics of each series. None means all metrics or scopes of an archived job, and nothing of a running one.

        An archived job with up to STORED_SCOPES_MAX_NODES nodes is answered in all stored scopes, as clients expect.
        """
        if self._jobs.comes_from_store(job) and not (metrics and scopes):
            return []
        wanted = MetricSelection(
            None if metrics is None else tuple(dict.fromkeys(metrics)),
            None if scopes is None else tuple(dict.fromkeys(scopes)),
            with_samples=False,
            with_band=False,
            with_stored_scopes=job.num_nodes <= STORED_SCOPES_MAX_NODES,
        )
        return await self._jobs.of(job, wanted)

    async def of_many(self, jobs: Sequence[StoredJob], metrics: Sequence[str]) -> dict[int, ByMetric]:
        """Statistics by job id and metric. Jobs whose data cannot be read, and metrics without data, are absent."""
        if not metrics:
            return {job.id: {} for job in jobs}
        running = [job for job in jobs if self._jobs.comes_from_store(job)]
        archived = [job for job in jobs if not self._jobs.comes_from_store(job)]
        of_archived, of_running = await asyncio.gather(
            self._of_archived(archived), self.each(running, lambda job: self._of_running(job, metrics))
        )
        return of_archived | of_running

    async def each(self, jobs: Sequence[StoredJob], load: Callable[[StoredJob], Awaitable[T]]) -> dict[int, T]:
        """Call ``load`` for each job, a few at a time. Jobs that fail or do not finish in time are logged and left out."""
        found: dict[int, T] = {}

        async def one(job: StoredJob) -> None:
            try:
                async with self._slots:
                    found[job.id] = await load(job)
            except (RequestError, Unavailable) as e:
                log.warning("job_left_out", job=job.id, why=str(e))

        try:
            async with asyncio.timeout(self._timeout_s), asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(one(job))
        except TimeoutError:
            log.warning("jobs_left_out", jobs=len(jobs) - len(found), timeout_s=self._timeout_s)
        return found

    async def _of_archived(self, jobs: Sequence[StoredJob]) -> dict[int, ByMetric]:
        """Statistics from the archive, or from the job's row. Jobs without either are absent."""
        found = {job.id: orjson.loads(job.statistics) for job in jobs if job.statistics and job.monitoring_status != ARCHIVED}
        found |= await self._jobs.archive.statistics(jobs)
        return {key: {name: _read(one) for name, one in statistics.items()} for key, statistics in found.items() if statistics is not None}

    async def _of_running(self, job: StoredJob, metrics: Sequence[str]) -> ByMetric:
        data = await self._jobs.stored(job, MetricSelection(tuple(metrics), (NODE,)))
        return {name: rounded(job_statistics(scopes[NODE], job.num_nodes)) for name, scopes in data.items() if NODE in scopes}


def named(found: ByMetric, metrics: Sequence[str]) -> list[NamedStatistics]:
    return [NamedStatistics(name, found.get(name, NO_STATISTICS)) for name in metrics]


def _read(stored: Json) -> Statistics:
    return Statistics(*(float(stored.get(key) or 0.0) for key in ("avg", "min", "max")))
