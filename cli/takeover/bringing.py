"""Publishes the jobs of a cc-backend that the site does not have, and those that have changed there since."""

import asyncio
import getpass
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.progress import Bar
from cli.takeover.database import Database, StoredJob
from cli.takeover.entries import Entries
from cli.takeover.jobs import Unusable, digest_of, event_of, fields_of
from cli.takeover.known import Known, KnownJob, identity_of, known_of
from shared.archive.layout import ArchiveError, ArchiveUnavailable, JobPath
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobTagged, JobTakenOver
from shared.domain.fitting import HEADROOM
from shared.domain.values import ARCHIVED

SOURCE = "/takeover"
PAGE = 1000
MAX_LINES = 10_000
DEFAULT_MAX_BYTES = 1024 * 1024  # assumed by a dry run, which does not ask the broker


@dataclass(slots=True)
class Lines:
    """Findings: their number, and the first ones."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.number += 1
        if len(self.first) < MAX_LINES:
            self.first.append(line)


@dataclass(slots=True)
class JobTally:
    """Numbers of jobs; ``deleted`` ones were deleted here."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    entries: int = 0
    last_sequence: int = 0
    clusters: set[str] = field(default_factory=set)
    failed: Lines = field(default_factory=Lines)
    without_entry: Lines = field(default_factory=Lines)

    @property
    def seen(self) -> int:
        return self.new + self.changed + self.unchanged + self.deleted + self.failed.number


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A job whose state in the source is not the one that was taken over. ``known`` is the job of the site, if it has it."""

    stored: StoredJob
    fields: dict[str, Any]
    digest: str
    known: KnownJob | None

    @property
    def path(self) -> JobPath:
        return JobPath(*identity_of(self.stored))

    @property
    def is_archived(self) -> bool:
        return bool(self.fields["monitoringStatus"] == ARCHIVED)


class JobBringer:
    """``site`` is the site's database, opened for reading. Without ``publisher`` nothing is published or copied, only counted."""

    def __init__(self, database: Database, site: AsyncEngine | None, publisher: Publisher | None, entries: Entries | None) -> None:
        self._database = database
        self._site = site
        self._publisher = publisher
        self._entries = entries
        self._max_bytes = (publisher.max_payload if publisher else DEFAULT_MAX_BYTES) - HEADROOM
        self._actor = getpass.getuser()
        self.tally = JobTally()

    async def run(self, bar: Bar) -> None:
        total = await asyncio.to_thread(self._database.count_jobs)
        pages = self._pages()
        publishing: asyncio.Task[None] | None = None  # publishes one page while the next is read
        try:
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                envelopes = await self._events_of(page)
                if publishing is not None:
                    await publishing
                publishing = asyncio.create_task(self._publish(envelopes), name="publish")
                bar(self.tally.seen, total, "jobs")
            if publishing is not None:
                await publishing
        finally:
            if publishing is not None:
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)  # it needs the connection, which the caller closes

    def _pages(self) -> Iterator[Sequence[StoredJob]]:
        staged = self._database.staged()
        for first in range(0, len(staged), PAGE):
            yield staged[first : first + PAGE]
        yield from self._database.jobs(PAGE)

    async def _events_of(self, page: Sequence[StoredJob]) -> list[Envelope]:
        known = Known({}, set()) if self._site is None else await known_of(self._site, page)
        candidates = [found for stored in page if (found := self._candidate(stored, known)) is not None]
        events = await asyncio.to_thread(self._with_entries, candidates)
        return [envelope for candidate, event in events for envelope in self._envelopes(event, candidate)]

    async def _publish(self, envelopes: Sequence[Envelope]) -> None:
        if self._publisher is not None and envelopes:
            self.tally.last_sequence = max([self.tally.last_sequence, *await self._publisher.publish(envelopes)])

    def _candidate(self, stored: StoredJob, known: Known) -> _Candidate | None:
        """None for a job that needs nothing; the tally has it."""
        identity = identity_of(stored)
        self.tally.clusters.add(str(identity[0]))
        if identity in known.deleted:
            self.tally.deleted += 1
            return None
        try:
            fields = fields_of(stored)
        except (Unusable, ArchiveError) as e:
            self.tally.failed.add(f"{_name(stored)}: {e}")
            return None
        digest, job = digest_of(fields), known.jobs.get(identity)
        candidate = _Candidate(stored, fields, digest, job)
        if job is not None and job.digest == digest and stored.id in (None, job.former_id):
            self.tally.unchanged += 1
            return candidate if candidate.is_archived else None
        return candidate

    def _with_entries(self, candidates: Sequence[_Candidate]) -> list[tuple[_Candidate, JobTakenOver]]:
        """Copy missing entries before the events, so that every visible job has its data; returns the events to publish."""
        archived = {one.path: one for one in candidates if one.is_archived}
        errors: dict[JobPath, Exception] = {}
        if self._entries is not None:
            lacking = self._entries.lacking(list(archived))
            errors = self._entries.unusable(lacking) if self._publisher is None else self._entries.copy(lacking)
            self.tally.entries += len(lacking) - len(errors)
            for path, error in errors.items():
                self.tally.without_entry.add(f"{_name(archived[path].stored)}: {error}")
        events = []
        for one in candidates:
            if not _differs(one):
                continue
            try:
                meta = self._entries.meta(one.path) if self._entries is not None and one.is_archived and one.path not in errors else None
            except (ArchiveError, ArchiveUnavailable):
                meta = None
            try:
                events.append((one, event_of(one.stored, one.fields, one.digest, meta, self._max_bytes)))
            except Unusable as e:
                self.tally.failed.add(f"{_name(one.stored)}: {e}")
                continue
            if one.known is None:
                self.tally.new += 1
            else:
                self.tally.changed += 1
        return events

    def _envelopes(self, event: JobTakenOver, candidate: _Candidate) -> list[Envelope]:
        known, now = candidate.known, datetime.now(UTC)
        # The state here is part of the id: a job that returns to an earlier state there is not a duplicate.
        before = known.changed_seq if known is not None else 0
        message_id = f"takeover:{event.cluster}:{event.job_id}:{event.start_time}:{before}:{event.former_id or ''}:{event.digest}"
        envelopes = [Envelope(event, message_id, SOURCE, now, self._actor)]
        if known is not None and candidate.is_archived:
            # Adds no tag, but lets the archiver bring tags and metadata of the entry up to date, as after any change of them.
            tagged = JobTagged(id=known.id, cluster=event.cluster, tags=[])
            envelopes.append(Envelope(tagged, f"{message_id}:entry", SOURCE, now, self._actor))
        return envelopes


def _differs(one: _Candidate) -> bool:
    return one.known is None or one.known.digest != one.digest or one.stored.id not in (None, one.known.former_id)


def _name(stored: StoredJob) -> str:
    row = stored.row
    where = f"row {stored.id} of job" if stored.id is not None else "job_cache"
    return f"{row['cluster']} job {row['job_id']} started at {row['start_time']} ({where})"
