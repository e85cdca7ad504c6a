"""Waiting for the archive queue."""

import asyncio
import time

from bench.support.database import reading
from bench.support.site import Site

ARCHIVED = "SELECT count(*) FROM job WHERE monitoring_status = 3"
PATIENCE_S = 90.0  # messages of a killed replica are redelivered after 30 s, a second try of a job may be later
_POLL_S = 0.1


async def wait_archived(site: Site, jobs: int) -> float:
    """When the last job was archived, Unix seconds. Raises TimeoutError when there is no progress."""
    most, moved = -1, time.monotonic()
    async with reading(site.database) as reader:
        while True:
            ((found,),) = await reader.rows(ARCHIVED)
            if found >= jobs:
                return time.time()
            if found > most:
                most, moved = found, time.monotonic()
            if time.monotonic() - moved > PATIENCE_S:
                raise TimeoutError(f"{jobs - found} of {jobs} jobs are not archived, nothing moved for {PATIENCE_S:g} s")
            await asyncio.sleep(_POLL_S)
