"""Detects the applications in the scripts of jobs that started, and publishes them for their tags.

The archiver detects them again at the end of a job, whose script may have arrived later.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from services.archiver.advice import Adviser
from services.archiver.jobs import JobReader, StartedJob
from shared.backoff import Backoff, sleep_unless
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import ApplicationsDetected, JobApplications, encode
from shared.errors import JobtideError

log = structlog.get_logger()

SOURCE = "/archiver"
POLL_S = 5.0
JOBS_PER_PAGE = 200  # their scripts are read at once
MAX_PAUSE_S = 60.0


class StartedApplications:
    """Follows running jobs by id, which is the sequence of their start. Begins with those that run already.

    What a replica has published before changes nothing.
    """

    def __init__(self, reader: JobReader, adviser: Adviser, publisher: Publisher) -> None:
        self._reader = reader
        self._adviser = adviser
        self._publisher = publisher
        self._last = 0

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Until ``stop``."""
        pause = Backoff(first_s=POLL_S, max_s=MAX_PAUSE_S)
        while not stop.is_set():
            tick()
            try:
                is_more = await self._next_page()
            except JobtideError as e:
                log.warning("applications_unknown", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            if not is_more:
                await sleep_unless(stop, POLL_S)

    async def _next_page(self) -> bool:
        """Publishes what one page of started jobs runs. Returns whether another page may follow."""
        jobs = await self._reader.started(self._last, limit=JOBS_PER_PAGE)
        found = await asyncio.to_thread(lambda: [(job, self._applications_of(job)) for job in jobs])
        now = datetime.now(UTC)
        by_cluster: dict[str, list[JobApplications]] = {}
        for job, names in found:
            if not job.applications >= set(names):
                by_cluster.setdefault(job.cluster, []).append(JobApplications(id=job.id, applications=names))
        if by_cluster:
            await self._publisher.publish([_envelope(cluster, new, now) for cluster, new in by_cluster.items()])
        if jobs:
            self._last = jobs[-1].id
        return len(jobs) == JOBS_PER_PAGE

    def _applications_of(self, job: StartedJob) -> list[str]:
        """Empty when they cannot be detected: one job's script must not stop the others."""
        try:
            return self._adviser.applications_of(job.metadata)
        except Exception:
            log.exception("job_applications_unknown", job=job.id)
            return []


def _envelope(cluster: str, jobs: list[JobApplications], now: datetime) -> Envelope:
    """The id is that of the content: other patterns may find other applications in the same jobs."""
    event = ApplicationsDetected(cluster=cluster, jobs=jobs)
    digest = hashlib.sha256(encode(event)).hexdigest()[:16]
    return Envelope(event, f"applications:{cluster}:{jobs[0].id}-{jobs[-1].id}:{digest}", SOURCE, now)
