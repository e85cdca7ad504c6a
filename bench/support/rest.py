"""A reader of the REST interface."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from bench.support.site import Site


class Rest:
    """Requests to one gateway over persistent connections."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def jobs(self, **query: str | int) -> tuple[list[dict[str, Any]], float]:
        """One page, and when its last byte was there, Unix seconds. ``start_time`` stands for ``start-time`` and so on.

        Raises aiohttp.ClientError for anything but an answer with status 200.
        """
        parameters = {name.replace("_", "-"): str(value) for name, value in query.items()}
        async with self._session.get(f"{self._url}/api/jobs/", params=parameters) as response:
            response.raise_for_status()
            body = await response.read()
        at = time.time()
        found: list[dict[str, Any]] = orjson.loads(body)["jobs"]
        return found, at


@asynccontextmanager
async def rest_of(site: Site) -> AsyncIterator[Rest]:
    assert site.http is not None
    headers = {"Authorization": f"Bearer {site.token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Rest(session, site.http)
