"""The archive: opened, checked, and supplied with the cluster definitions."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from shared.archive import ArchiveStore, ArchiveUnavailable, JobPath
from shared.archive.places import open_place
from shared.broker.clusters import ClusterDirectory
from shared.broker.known_archives import KnownArchives
from shared.errors import Unavailable

T = TypeVar("T")
log = structlog.get_logger()

PROBE_BYTES = 64 * 1024
MAX_PROBE_BYTES = 64 * 1024 * 1024
READERS = 8  # threads per place, started when needed
ANSWER_S = 10.0  # after which a place that does not answer counts as unavailable; its thread may take longer


class ArchiveFolder:
    """Each place has threads of its own for these tasks, so that one that does not answer holds up no other."""

    def __init__(self, store: ArchiveStore, clusters: ClusterDirectory, known: KnownArchives) -> None:
        self.store = store
        self.unopened: dict[ArchiveStore, str] = dict.fromkeys(store.parts(), "not opened yet")
        self._clusters = clusters
        self._known = known
        self._places: set[str] | None = None  # that are known to hold an archive; None until the broker has said so
        self._written: dict[str, bytes] = {}
        self._threads = {part: ThreadPoolExecutor(1, thread_name_prefix="place") for part in store.parts()}
        self._readers = {part: ThreadPoolExecutor(READERS, thread_name_prefix="entries") for part in store.parts()}
        self._probes: dict[ArchiveStore, asyncio.Future[None]] = {}
        self._probe_bytes: dict[ArchiveStore, int] = {}

    async def open(self) -> None:
        """A place that is unavailable is opened by ``check``, as soon as it answers. One that held an archive before must hold it still.

        Raises UserError when a place is not an archive of the supported version.
        """
        await self._learn()
        await asyncio.gather(*(self._open_first(part) for part in self.store.parts()))

    async def _learn(self) -> None:
        if self._places is None:
            try:
                self._places = await self._known.read()
            except Unavailable as e:
                log.warning("known_archives_not_read", why=str(e))

    def close(self) -> None:
        for thread in (*self._threads.values(), *self._readers.values()):
            thread.shutdown(wait=False, cancel_futures=True)

    async def _open_first(self, part: ArchiveStore) -> None:
        try:
            await self._run(part, self._open, part)
        except ArchiveUnavailable as e:
            self.unopened[part] = str(e)
            log.warning("archive_not_opened", address=part.address, why=str(e))
        else:
            await self._remember(part)

    async def _remember(self, part: ArchiveStore) -> None:
        if self._places is None or part.place in self._places:
            return
        try:
            await self._known.add(part.place)
        except Unavailable as e:
            log.warning("archive_not_remembered", address=part.address, why=str(e))
        else:
            self._places.add(part.place)

    async def prepare(self, cluster: str) -> None:
        """Write the current cluster.json into the archive. Raises OSError, ArchiveUnavailable."""
        if cluster not in self._clusters:
            return  # removed since the job started; the archive keeps the last definition
        text = self._clusters.raw(cluster)
        if self._written.get(cluster) is not text:
            await self._run(self.store.part_of(cluster), self._write_cluster, cluster, text)

    async def is_complete(self, path: JobPath) -> bool:
        """True if the archive has a complete entry of the job. Raises OSError, ArchiveUnavailable."""
        part = self.store.part_of(path.cluster)
        return await self._in_time(part, self._readers[part], self.store.is_complete, path)

    def require_room(self, part: ArchiveStore, size: int) -> None:
        """Make the next checks of a place write at least ``size`` bytes, until one succeeds. An entry of that size did not fit."""
        self._probe_bytes[part] = min(max(self._probe_bytes.get(part, PROBE_BYTES), size), MAX_PROBE_BYTES)

    async def check(self, part: ArchiveStore) -> None:
        """Write and remove a file. Raises ArchiveUnavailable when the place is not the archive, OSError without space or permission.

        There is one check of a place at a time: while one has not ended, another call waits for its result.
        """
        await self._learn()
        probe = self._probes.get(part)
        if probe is None or probe.done():
            probe = self._probes[part] = asyncio.get_running_loop().run_in_executor(self._threads[part], self._try, part)
            probe.add_done_callback(_take_note)
        await asyncio.shield(probe)
        self._probe_bytes.pop(part, None)
        await self._remember(part)

    async def _run(self, part: ArchiveStore, work: Callable[..., None], *arguments: object) -> None:
        await self._in_time(part, self._threads[part], work, *arguments)

    async def _in_time(self, part: ArchiveStore, threads: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
        running = asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
        running.add_done_callback(_take_note)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.shield(running)
        except TimeoutError as e:
            raise ArchiveUnavailable(f"{part.address}: no answer within {ANSWER_S:g} s") from e

    def _write_cluster(self, cluster: str, text: bytes) -> None:
        if self._written.get(cluster) is text:
            return
        self._open(self.store.part_of(cluster))  # first: a place with content but no version is refused
        self.store.write_cluster(cluster, text)
        self._written[cluster] = text

    def _open(self, part: ArchiveStore) -> None:
        if part in self.unopened:
            # As long as nothing is known, no place becomes a new archive.
            open_place(part, (part.place,) if self._places is None else self._places)
            self.unopened.pop(part, None)

    def _try(self, part: ArchiveStore) -> None:
        self._open(part)
        part.check(self._probe_bytes.get(part, PROBE_BYTES))


def _take_note(future: "asyncio.Future[Any]") -> None:
    """Whoever waited for it may have given up; asyncio would report its error as never retrieved."""
    if not future.cancelled():
        future.exception()
