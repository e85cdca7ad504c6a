"""Removes old entries from the archive, or moves or copies them to another place, as the settings say."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import structlog

from services.archiver.annotations import Annotator
from services.archiver.failures import describe
from services.archiver.jobs import JobReader, JobRecord
from services.archiver.prometheus import ArchiverNumbers
from shared.archive import ArchiveError, ArchiveStore, ArchiveUnavailable, JobPath, annotations
from shared.archive.meta import tag_keys
from shared.archive.moving import outdated, replicate, selected_paths
from shared.archive.selection import Selection
from shared.archive.transfer import batches, copy_clusters
from shared.backoff import Backoff, sleep_unless
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobDeleted
from shared.errors import JobtideError, Unavailable
from shared.settings import ArchiveSettings

log = structlog.get_logger()

DAY_S = 86_400.0
GROUP = 50
GROUP_PAUSE_S = 0.05  # archiving goes first
MAX_LOGGED = 10  # failed entries of one round that get a log line each
WITHIN_S = 900.0  # longest work on one group


class Retention:
    """``present`` is where entries are written, ``target`` where they are moved or copied to. Replicas do not disturb each other."""

    def __init__(
        self,
        settings: ArchiveSettings,
        present: ArchiveStore,
        target: ArchiveStore | None,
        reader: JobReader,
        annotator: Annotator,
        publisher: Publisher,
        numbers: ArchiverNumbers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._present = present
        self._target = target
        self._reader = reader
        self._annotator = annotator
        self._publisher = publisher
        self._numbers = numbers
        self._clock = clock

    @property
    def max_round_s(self) -> float:
        return self._settings.retention_every_h * 3600 + WITHIN_S

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """A round at start and every ``retention_every_h``, until ``stop``. After an outage the next rounds follow after growing pauses."""
        pause = Backoff(first_s=30.0, max_s=1800.0)
        while not stop.is_set():
            tick()
            try:
                await self.round(stop, tick)
            except Exception as e:  # also what nobody expected of an entry: archiving must go on
                pause_s = pause.next_s()
                is_outage = isinstance(e, JobtideError | OSError)
                log.warning("retention_waits", why=describe(e), pause_s=round(pause_s), exc_info=not is_outage)
                await sleep_unless(stop, pause_s)
                continue
            pause.reset()
            await sleep_unless(stop, self._settings.retention_every_h * 3600)

    async def round(self, stop: asyncio.Event, tick: Callable[[], None] = lambda: None) -> int:
        """Handle all entries that are old enough, of copies those that have changed; returns their number.

        Raises JobtideError and OSError when a place is unavailable.
        """
        settings = self._settings
        assert settings.retention_days is not None
        selection = Selection(before=int(self._clock() - settings.retention_days * DAY_S), omit_tagged=settings.retention_omit_tagged)
        await asyncio.to_thread(self._prepare)
        groups = batches(selected_paths(self._present, selection, failed=self._unreadable), GROUP)
        done = failed = 0
        while not stop.is_set() and (paths := await asyncio.to_thread(_next, groups)):
            tick()
            if settings.retention == "copy" and self._target is not None:
                paths = await asyncio.to_thread(outdated, self._present, self._target, paths)
            errors = await self._handle(paths)
            for path, error in zip(paths, errors, strict=True):
                if isinstance(error, Unavailable):
                    raise error
                if error is not None:
                    failed += 1
                    if failed <= MAX_LOGGED:
                        log.warning("retention_failed", entry=path.relative, why=describe(error))
            succeeded = errors.count(None)
            done += succeeded
            self._numbers.retention(settings.retention, succeeded)
            self._numbers.retention("failed", len(paths) - succeeded)
            await asyncio.sleep(GROUP_PAUSE_S)
        if done or failed:
            log.info("retention_done", policy=settings.retention, entries=done, failed=failed)
        return done

    def _prepare(self) -> None:
        self._present.require()
        if self._target is not None:
            self._require_target()
            copy_clusters(self._present, self._target)

    def _require_target(self) -> None:
        """It is never created here: a folder that is not mounted would become an archive on another disk."""
        assert self._target is not None
        try:
            self._target.require()
        except ArchiveUnavailable as e:
            raise ArchiveUnavailable(f"{e}; `jobtide archive create {self._target.address}` makes an empty place an archive") from e

    def _unreadable(self, path: JobPath, error: Exception) -> None:
        self._numbers.retention("failed", 1)
        log.debug("retention_failed", entry=path.relative, why=describe(error))

    async def _handle(self, paths: Sequence[JobPath]) -> list[Exception | None]:
        if self._settings.retention == "delete":
            if self._settings.retention_database:
                await self._delete_jobs(paths)  # first: after an interruption the entries are still found
            return await asyncio.to_thread(self._present.remove, paths)
        if self._target is None:
            raise ArchiveError("retention_target is not set")
        if self._settings.retention == "copy":
            return await asyncio.to_thread(replicate, self._present, self._target, paths, moves=False)
        errors = await asyncio.to_thread(replicate, self._present, self._target, paths, moves=True)
        await self._settle([path for path, error in zip(paths, errors, strict=True) if error is None])
        return errors

    async def _settle(self, paths: Sequence[JobPath]) -> None:
        """Tags and metadata may have been written to an entry in the instant before it was removed: the database has them."""
        assert self._target is not None
        jobs = [job for job in await self._reader.by_path(paths) if await asyncio.to_thread(_is_outdated, self._target, job)]
        for work in await self._annotator.update(jobs):
            log.warning("entry_not_updated", job=work.job.id, why=describe(work.error) if work.error is not None else "")

    async def _delete_jobs(self, paths: Sequence[JobPath]) -> None:
        now = datetime.now(UTC)
        jobs = await self._reader.by_path(paths)
        await self._publisher.publish(
            [Envelope(JobDeleted(id=job.id, cluster=job.cluster), f"retention:{job.id}", "jobtide/archiver", now) for job in jobs]
        )


def _is_outdated(store: ArchiveStore, job: JobRecord) -> bool:
    try:
        document = store.document(job.path)
    except ArchiveError:
        return False  # it is still where it was
    expected = annotations(job.row, job.tags)
    try:
        return tag_keys(document) != tag_keys(expected) or (document.get("metaData") or {}) != expected["metaData"]
    except ArchiveError:
        return True


def _next(groups: Iterator[list[JobPath]]) -> list[JobPath]:
    return next(groups, [])
