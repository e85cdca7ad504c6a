"""Statistics and time series of archived jobs. A bounded number of worker threads reads each place."""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar

import orjson
import structlog

from services.gateway.errors import RequestError
from services.gateway.metrics.reading_threads import ReadingThreads
from services.gateway.reading.model import StoredJob
from shared.archive import ArchiveError, ArchiveStore, ArchiveUnavailable, JobPath, Thumbnail, bands_in
from shared.domain.values import ARCHIVED

log = structlog.get_logger()

Json = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
JOBS_PER_THREAD = 64
THUMBNAILS_PER_THREAD = 25
SMALL_S = 15.0  # within which descriptions are read
DATA_S = 60.0  # within which time series are read and processed
Texts = Mapping[str, bytes]


class ArchiveReader:
    """Reads archive entries of jobs with monitoring status ``ARCHIVED``."""

    def __init__(self, archive: ArchiveStore, readers: int) -> None:
        self._archive = archive
        self._processors = asyncio.Semaphore(readers)
        self._threads = {part: ReadingThreads(part.address, readers) for part in archive.parts()}

    def close(self) -> None:
        for threads in self._threads.values():
            threads.close()

    async def statistics(self, jobs: Sequence[StoredJob]) -> dict[int, Json]:
        """Job id -> metric -> statistics, for the archived ones among ``jobs``.

        If the entry cannot be read in time, the statistics imported with the job are used. Without those the job is absent.
        """
        archived = [job for job in jobs if job.monitoring_status == ARCHIVED]

        async def of(threads: ReadingThreads, some: Sequence[StoredJob]) -> dict[int, Json]:
            try:
                return await threads.run(lambda: self._statistics(some), SMALL_S)
            except ArchiveUnavailable as e:
                log.warning("archive_unavailable", jobs=len(some), why=str(e))
                return {job.id: statistics for job in some if (statistics := _imported_statistics(job)) is not None}

        found: dict[int, Json] = {}
        for part in await asyncio.gather(*(of(*some) for some in self._by_place(archived, JOBS_PER_THREAD))):
            found |= part
        return found

    async def thumbnails(self, jobs: Sequence[StoredJob], then: Callable[[Thumbnail], T]) -> dict[int, T]:
        """Results of ``then`` by job id. It runs in the reading thread. Jobs without a usable thumbnail are absent."""

        async def of(threads: ReadingThreads, some: Sequence[StoredJob]) -> dict[int, T]:
            try:
                return await threads.run(lambda: self._thumbnails(some, then), DATA_S)
            except ArchiveUnavailable as e:
                log.warning("archive_unavailable", jobs=len(some), why=str(e))
                return {}

        found: dict[int, T] = {}
        for part in await asyncio.gather(*(of(*some) for some in self._by_place(jobs, THUMBNAILS_PER_THREAD))):
            found |= part
        return found

    async def version(self, job: StoredJob) -> Hashable:
        """Changes whenever the job is archived again. Raises RequestError like ``texts``."""
        return await self._answered(job, lambda: self._version(job), SMALL_S)

    async def texts(self, job: StoredJob, metrics: Sequence[str] | None, then: Callable[[Texts], T]) -> T:
        """Call ``then`` in the reading thread with the undecoded metrics: all, or those of ``metrics`` that exist.

        Raises RequestError: 500 when the entry cannot be read, 503 when the archive does not answer.
        """

        def read() -> T:
            try:
                return then(self._texts(job, metrics))
            except (TypeError, ValueError) as e:
                raise ArchiveError(f"{_path(job).relative}: {e}") from e

        return await self._answered(job, read, DATA_S)

    async def in_thread(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """For processing; what reads the archive has threads of its own."""
        async with self._processors:
            return await asyncio.to_thread(work, *arguments, **options)

    def _by_place(self, jobs: Sequence[StoredJob], number: int) -> Iterator[tuple[ReadingThreads, Sequence[StoredJob]]]:
        """Up to ``number`` jobs each, with the threads of their place."""
        places: dict[ReadingThreads, list[StoredJob]] = {}
        for job in jobs:
            places.setdefault(self._threads[self._archive.part_of(job.cluster)], []).append(job)
        for threads, there in places.items():
            for first in range(0, len(there), number):
                yield threads, there[first : first + number]

    async def _answered(self, job: StoredJob, work: Callable[[], T], within_s: float) -> T:
        try:
            return await self._threads[self._archive.part_of(job.cluster)].run(work, within_s)
        except ArchiveUnavailable as e:
            log.warning("archive_unavailable", job=job.id, why=str(e))
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the archive does not answer") from e
        except ArchiveError as e:
            log.warning("archive_unreadable", job=job.id, why=str(e))
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, f"the metric data of job {job.id} cannot be read from the archive") from e

    def _thumbnails(self, jobs: Sequence[StoredJob], then: Callable[[Thumbnail], T]) -> dict[int, T]:
        found: dict[int, T] = {}
        for job in jobs:
            try:
                thumbnail = bands_in(self._archive, _path(job))
                if thumbnail is not None:
                    found[job.id] = then(thumbnail)
            except (ArchiveError, ArchiveUnavailable, TypeError, ValueError) as e:
                log.debug("thumbnail_unreadable", job=job.id, why=str(e))
        return found

    def _statistics(self, jobs: Sequence[StoredJob]) -> dict[int, Json]:
        found = {}
        for job in jobs:
            try:
                statistics = self._archive.document(_path(job)).get("statistics")
            except (ArchiveError, ArchiveUnavailable):
                statistics = _imported_statistics(job)
            if isinstance(statistics, dict):
                found[job.id] = statistics
        return found

    def _version(self, job: StoredJob) -> Hashable:
        stamp, _ = self._archive.data_stamp(_path(job))
        return stamp

    def _texts(self, job: StoredJob, metrics: Sequence[str] | None) -> Texts:
        texts = self._archive.texts(_path(job), metrics)
        return texts if metrics is None else {name: texts[name] for name in dict.fromkeys(metrics) if name in texts}


def _imported_statistics(job: StoredJob) -> Json | None:
    return orjson.loads(job.statistics) if job.statistics else None


def _path(job: StoredJob) -> JobPath:
    return JobPath(job.cluster, job.job_id, job.start_time)
