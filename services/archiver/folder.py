"""The archive: opened, checked, and supplied with the cluster definitions."""

import asyncio

import structlog

from shared.archive import ArchiveStore, ArchiveUnavailable
from shared.broker.clusters import ClusterDirectory

log = structlog.get_logger()

PROBE_BYTES = 64 * 1024
MAX_PROBE_BYTES = 64 * 1024 * 1024


class ArchiveFolder:
    def __init__(self, store: ArchiveStore, clusters: ClusterDirectory) -> None:
        self.store = store
        self._clusters = clusters
        self._written: dict[str, bytes] = {}
        self._lock = asyncio.Lock()
        self._probe_bytes: dict[ArchiveStore, int] = {}
        self._unopened = set(store.parts())

    async def open(self) -> None:
        """A place that is unavailable is opened by ``check``, as soon as it answers.

        Raises UserError when a place is not an archive of the supported version.
        """
        for part in self.store.parts():
            try:
                await asyncio.to_thread(part.open)
            except ArchiveUnavailable as e:
                log.warning("archive_not_opened", address=part.address, why=str(e))
            else:
                self._unopened.discard(part)

    async def prepare(self, cluster: str) -> None:
        """Write the current cluster.json into the archive. Raises OSError, ArchiveUnavailable."""
        if cluster not in self._clusters:
            return  # removed since the job started; the archive keeps the last definition
        text = self._clusters.raw(cluster)
        if self._written.get(cluster) is text:
            return
        async with self._lock:
            await asyncio.to_thread(self._open, self.store.part_of(cluster))  # first: a place with content but no version is refused
            await asyncio.to_thread(self.store.write_cluster, cluster, text)
            self._written[cluster] = text

    def require_room(self, part: ArchiveStore, size: int) -> None:
        """Make the next checks of a place write at least ``size`` bytes, until one succeeds. An entry of that size did not fit."""
        self._probe_bytes[part] = min(max(self._probe_bytes.get(part, PROBE_BYTES), size), MAX_PROBE_BYTES)

    async def check(self, part: ArchiveStore) -> None:
        """Write and remove a file. Raises ArchiveUnavailable when the place is not the archive, OSError without space or permission."""
        await asyncio.to_thread(self._try, part)
        self._probe_bytes.pop(part, None)

    def _open(self, part: ArchiveStore) -> None:
        if part in self._unopened:
            part.open()
            self._unopened.discard(part)

    def _try(self, part: ArchiveStore) -> None:
        self._open(part)
        part.check(self._probe_bytes.get(part, PROBE_BYTES))
