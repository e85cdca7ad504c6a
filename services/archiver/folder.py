"""The archive folder: opened, checked, and supplied with the cluster definitions."""

import asyncio
import os
from pathlib import Path

from shared.archive import open_archive, write_cluster
from shared.archive.layout import TEMPORARY_PREFIX
from shared.broker.clusters import ClusterDirectory


class ArchiveFolder:
    def __init__(self, root: Path, clusters: ClusterDirectory) -> None:
        self._root = root
        self._clusters = clusters
        self._written: dict[str, bytes] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Raises UserError when the folder is not an archive of the supported version."""
        await asyncio.to_thread(open_archive, self._root)

    async def prepare(self, cluster: str) -> None:
        """Write the current cluster.json into the archive. Raises OSError."""
        if cluster not in self._clusters:
            return  # removed since the job started; the archive keeps the last definition
        text = self._clusters.raw(cluster)
        if self._written.get(cluster) is text:
            return
        async with self._lock:
            await asyncio.to_thread(write_cluster, self._root, cluster, text)
            self._written[cluster] = text

    async def check(self) -> None:
        """Write and remove a file. Raises OSError when there is no space or no permission."""
        await asyncio.to_thread(self._try)

    def _try(self) -> None:
        probe = self._root / f"{TEMPORARY_PREFIX}probe-{os.getpid()}"
        try:
            probe.write_bytes(b"x" * 4096)
        finally:
            probe.unlink(missing_ok=True)
