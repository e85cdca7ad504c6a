"""A client of ``POST /query``."""

import gc
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from bench.support.site import Site

TIMEOUT_S = 60.0


class QueryFailed(Exception):
    """The answer has errors, or there is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``seconds`` from sending to the last byte; reading the JSON comes after it."""

    data: Any
    seconds: float
    size: int


class Client:
    """Sequential requests over persistent connections."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, document: str, variables: Mapping[str, Any], encoding: str = "identity") -> Answer:
        """Raises QueryFailed, aiohttp.ClientError, TimeoutError."""
        status, body, seconds = await self.post(orjson.dumps({"query": document, "variables": variables}), encoding)
        if status != 200:
            raise QueryFailed(f"status {status}: {body[:300].decode(errors='replace')}")
        answer = orjson.loads(body)
        if "errors" in answer:
            raise QueryFailed(str(answer["errors"])[:300])
        return Answer(answer["data"], seconds, len(body))

    async def post(self, request: bytes, encoding: str = "identity") -> tuple[int, bytes, float]:
        """Status, body and seconds."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": encoding}
        began = time.perf_counter()
        async with self._session.post(f"{self._url}/query", data=request, headers=headers) as response:
            body = await response.read()
        return response.status, body, time.perf_counter() - began

    async def metrics(self, *, with_labels: bool = False) -> dict[str, float]:
        """The samples of ``/metrics``, by name or by name with labels."""
        async with self._session.get(f"{self._url}/metrics") as response:
            response.raise_for_status()
            text = await response.text()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#") and (with_labels or "{" not in line))
        return {name: float(value) for name, value in samples}


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """The oracle consists of millions of objects, and a garbage collection over them takes longer than a request."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def client_of_site(site: Site, connections: int = 1) -> AsyncIterator[Client]:
    assert site.http is not None
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {site.token}"},
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=connections),
    ) as session:
        yield Client(session, site.http)
