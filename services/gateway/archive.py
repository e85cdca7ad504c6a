"""What the archive knows of finished jobs: statistics and time series. Files are read in worker threads, a few at a time."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import orjson
import structlog

from services.gateway.errors import RequestError
from services.gateway.queries.jobs import StoredJob
from services.gateway.series import select_data
from shared.archive import ArchiveError, JobPath, read_data_document, read_meta
from shared.archive.reader import data_file
from shared.domain.values import ARCHIVED

log = structlog.get_logger()

Json = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
READERS = 4
JOBS_PER_THREAD = 64


class ArchiveReader:
    """Reads entries of jobs whose status says that they are archived."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._readers = asyncio.Semaphore(READERS)

    async def statistics(self, jobs: Sequence[StoredJob]) -> dict[int, Json]:
        """Metric to statistics, by job id, of those jobs that are archived.

        Where the entry cannot be read, what the job brought along when it was imported; else the job is absent.
        """
        archived = [job for job in jobs if job.monitoring_status == ARCHIVED]
        parts = [archived[first : first + JOBS_PER_THREAD] for first in range(0, len(archived), JOBS_PER_THREAD)]
        found: dict[int, Json] = {}
        for part in await asyncio.gather(*(self._in_thread(self._statistics, part) for part in parts)):
            found |= part
        return found

    async def data(self, job: StoredJob, metrics: Sequence[str] | None) -> Json:
        """Metric to scope to series, all metrics or those that exist of ``metrics``; empty for a job that is not archived.

        Raises RequestError (500) when the entry cannot be read.
        """
        if job.monitoring_status != ARCHIVED or metrics == []:
            return {}
        try:
            return await self._in_thread(self._data, job, metrics)
        except ArchiveError as e:
            log.warning("archive_unreadable", job=job.id, why=str(e))
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, f"the metric data of job {job.id} cannot be read from the archive") from e

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        async with self._readers:
            return await asyncio.to_thread(work, *arguments, **options)

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

    def _data(self, job: StoredJob, metrics: Sequence[str] | None) -> Json:
        document = read_data_document(data_file(_path(job).under(self._root)))
        try:
            return select_data(document, metrics, "core" if job.num_nodes == 1 else "node")
        except (TypeError, ValueError, KeyError, AttributeError) as e:
            raise ArchiveError(f"not metric data: {e!r}") from e


def _path(job: StoredJob) -> JobPath:
    return JobPath(job.cluster, job.job_id, job.start_time)
