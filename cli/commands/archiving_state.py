"""The state of the archiver's dependencies, checked from the machine of the command."""

import shutil

from shared.archive import ArchiveUnavailable, require_archive
from shared.errors import Unavailable
from shared.metricdata import MetricsSettings, open_source
from shared.settings import ArchiveSettings

FULL_BELOW_BYTES = 64 * 1024


async def archiving_state(archive: ArchiveSettings, metrics: MetricsSettings) -> list[tuple[str, str]]:
    """Name and state of the archive and of each metric store."""
    states = [("archive", _archive_state(archive))]
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


def _archive_state(archive: ArchiveSettings) -> str:
    try:
        require_archive(archive.path)
        free = shutil.disk_usage(archive.path).free
    except (ArchiveUnavailable, OSError) as e:
        return f"unavailable, jobs wait: {e}"
    return f"{free / 1e9:,.1f} GB free" if free >= FULL_BELOW_BYTES else "full, jobs wait"
