"""The archive folder: opened, checked, and supplied with the cluster definitions."""

import asyncio
import os
from pathlib import Path

from shared.archive import open_archive, require_archive, write_cluster
from shared.archive.layout import TEMPORARY_PREFIX
from shared.broker.clusters import ClusterDirectory

PROBE_BYTES = 64 * 1024
MAX_PROBE_BYTES = 64 * 1024 * 1024


class ArchiveFolder:
    def __init__(self, root: Path, clusters: ClusterDirectory) -> None:
        self.root = root
        self._clusters = clusters
        self._written: dict[str, bytes] = {}
        self._lock = asyncio.Lock()
        self._probe_bytes = PROBE_BYTES

    async def open(self) -> None:
        """Raises UserError when the folder is not an archive of the supported version."""
        await asyncio.to_thread(open_archive, self.root)

    async def prepare(self, cluster: str) -> None:
        """Write the current cluster.json into the archive. Raises OSError."""
        if cluster not in self._clusters:
            return  # removed since the job started; the archive keeps the last definition
        text = self._clusters.raw(cluster)
        if self._written.get(cluster) is text:
            return
        async with self._lock:
            await asyncio.to_thread(write_cluster, self.root, cluster, text)
            self._written[cluster] = text

    def require_room(self, size: int) -> None:
        """Make the next checks write at least ``size`` bytes, until one succeeds. An entry of that size did not fit."""
        self._probe_bytes = min(max(self._probe_bytes, size), MAX_PROBE_BYTES)

    async def check(self) -> None:
        """Write and remove a file. Raises ArchiveUnavailable when the folder is not the archive, OSError without space or permission."""
        await asyncio.to_thread(self._try)
        self._probe_bytes = PROBE_BYTES

    def _try(self) -> None:
        require_archive(self.root)
        probe = self.root / f"{TEMPORARY_PREFIX}probe-{os.getpid()}"
        try:
            probe.write_bytes(bytes(self._probe_bytes))
        finally:
            probe.unlink(missing_ok=True)
