"""The state of the archiver's dependencies, checked from the machine of the command."""

import asyncio
import shutil

from shared.archive import ArchiveStore, ArchiveUnavailable
from shared.archive.files import FileStore
from shared.archive.places import retention_store, store_of
from shared.errors import Unavailable
from shared.metricdata import MetricsSettings, open_source
from shared.settings import ArchiveSettings

FULL_BELOW_BYTES = 64 * 1024


async def archiving_state(archive: ArchiveSettings, metrics: MetricsSettings) -> list[tuple[str, str]]:
    """Name and state of the archive and of each metric store."""
    place = store_of(archive)
    parts = place.parts()
    names = ["archive"] if len(parts) == 1 else [f"archive {part.address}" for part in parts]
    states = [(name, await asyncio.to_thread(_archive_state, part)) for name, part in zip(names, parts, strict=True)]
    place.close()
    if (moved := retention_store(archive)) is not None:
        states.append(("moved entries", (await asyncio.to_thread(_archive_state, moved)).replace(", jobs wait", "")))
        moved.close()
    async with open_source(metrics) as source:
        for store in source.stores() if source is not None else ():
            assert source is not None
            try:
                await source.check(store)
            except Unavailable as e:
                states.append((f"metric store {store}", f"unavailable, jobs wait: {e}"))
            else:
                states.append((f"metric store {store}", "available"))
    return states


def _archive_state(store: ArchiveStore) -> str:
    try:
        store.require()
        if not isinstance(store, FileStore):
            return "available"
        free = shutil.disk_usage(store.root).free
    except (ArchiveUnavailable, OSError) as e:
        return f"unavailable, jobs wait: {e}"
    return f"{free / 1e9:,.1f} GB free" if free >= FULL_BELOW_BYTES else "full, jobs wait"
