"""Statistics and time series of archived jobs. A bounded number of worker threads reads the files."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import orjson
import structlog

from services.gateway.errors import RequestError
from services.gateway.reading.model import StoredJob
from shared.archive import ArchiveError, JobPath, Thumbnail, data_file, read_data_texts, read_meta, read_thumbnail
from shared.domain.values import ARCHIVED

log = structlog.get_logger()

Json = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
JOBS_PER_THREAD = 64
THUMBNAILS_PER_THREAD = 25
Version = tuple[int, int, int]
Texts = Mapping[str, bytes]


class ArchiveReader:
    """Reads archive entries of jobs with monitoring status ``ARCHIVED``."""

    def __init__(self, root: Path, readers: int) -> None:
        self._root = root
        self._readers = asyncio.Semaphore(readers)

    async def statistics(self, jobs: Sequence[StoredJob]) -> dict[int, Json]:
        """Job id -> metric -> statistics, for the archived ones among ``jobs``.

        If the entry cannot be read, the statistics imported with the job are used. Without those the job is absent.
        """
        archived = [job for job in jobs if job.monitoring_status == ARCHIVED]
        parts = [archived[first : first + JOBS_PER_THREAD] for first in range(0, len(archived), JOBS_PER_THREAD)]
        found: dict[int, Json] = {}
        for part in await asyncio.gather(*(self.in_thread(self._statistics, part) for part in parts)):
            found |= part
        return found

    async def thumbnails(self, jobs: Sequence[StoredJob], then: Callable[[Thumbnail], T]) -> dict[int, T]:
        """Results of ``then`` by job id. It runs in the reading thread. Jobs without a usable thumbnail are absent."""
        parts = [jobs[first : first + THUMBNAILS_PER_THREAD] for first in range(0, len(jobs), THUMBNAILS_PER_THREAD)]
        found: dict[int, T] = {}
        for part in await asyncio.gather(*(self.in_thread(self._thumbnails, part, then) for part in parts)):
            found |= part
        return found

    async def version(self, job: StoredJob) -> Version:
        """Changes whenever the job is archived again. Raises RequestError like ``texts``."""
        return await self._answered(job, self._version, job)

    async def texts(self, job: StoredJob, metrics: Sequence[str] | None, then: Callable[[Texts], T]) -> T:
        """Call ``then`` in the reading thread with the undecoded metrics: all, or those of ``metrics`` that exist.

        Raises RequestError (500) when the entry cannot be read.
        """

        def read() -> T:
            file = self._file(job)
            try:
                return then(_texts(file, metrics))
            except (TypeError, ValueError) as e:
                raise ArchiveError(f"{file}: {e}") from e

        return await self._answered(job, read)

    async def in_thread(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        async with self._readers:
            return await asyncio.to_thread(work, *arguments, **options)

    async def _answered(self, job: StoredJob, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        try:
            return await self.in_thread(work, *arguments, **options)
        except ArchiveError as e:
            log.warning("archive_unreadable", job=job.id, why=str(e))
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, f"the metric data of job {job.id} cannot be read from the archive") from e

    def _thumbnails(self, jobs: Sequence[StoredJob], then: Callable[[Thumbnail], T]) -> dict[int, T]:
        found: dict[int, T] = {}
        for job in jobs:
            try:
                thumbnail = read_thumbnail(self._root, _path(job))
                if thumbnail is not None:
                    found[job.id] = then(thumbnail)
            except (ArchiveError, TypeError, ValueError) as e:
                log.debug("thumbnail_unreadable", job=job.id, why=str(e))
        return found

    def _statistics(self, jobs: Sequence[StoredJob]) -> dict[int, Json]:
        found = {}
        for job in jobs:
            try:
                statistics = read_meta(self._root, _path(job)).get("statistics")
            except ArchiveError:
                statistics = orjson.loads(job.statistics) if job.statistics else None
            if isinstance(statistics, dict):
                found[job.id] = statistics
        return found

    def _file(self, job: StoredJob) -> Path:
        return data_file(_path(job).under(self._root))

    def _version(self, job: StoredJob) -> Version:
        file = self._file(job)
        try:
            found = file.stat()
        except OSError as e:
            raise ArchiveError(f"{file}: {e.strerror}") from e
        return found.st_ino, found.st_mtime_ns, found.st_size


def _texts(file: Path, metrics: Sequence[str] | None) -> Texts:
    texts = read_data_texts(file, metrics)
    return texts if metrics is None else {name: texts[name] for name in dict.fromkeys(metrics) if name in texts}


def _path(job: StoredJob) -> JobPath:
    return JobPath(job.cluster, job.job_id, job.start_time)
