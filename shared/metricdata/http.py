"""Requests to the HTTP API of a metric store: bounded in time, in number and in the size of an answer."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import aiohttp

from shared.backoff import Backoff
from shared.metricdata.source import SourceUnavailable

MIB = 1024 * 1024
CHECKS = 4  # connections for checks, which must not wait for long requests
CONNECT_TIMEOUT_S = 10.0
EXCERPT = 200  # characters of an answer in an error


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """``tries`` counts the attempts of a request that gets no answer or a server error."""

    timeout_s: float
    tries: int
    requests: int
    max_answer_mb: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """``authorization`` is the whole header. ``ca_file`` replaces the system's certificate authorities."""

    authorization: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def excerpt(self) -> str:
        return self.body[:EXCERPT].decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class Request:
    """``accepted`` are the statuses that the caller reads. Any other means that the store is unavailable."""

    url: str
    method: str = "GET"
    params: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[int] = frozenset({200})


class StoreClient:
    """An async context manager that owns a client session."""

    def __init__(self, limits: HttpLimits, credentials: Credentials) -> None:
        self._limits = limits
        self._credentials = credentials
        self._slots = asyncio.Semaphore(limits.requests)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        given, limits = self._credentials, self._limits
        context = ssl.create_default_context(cafile=given.ca_file) if given.ca_file else True
        self._session = aiohttp.ClientSession(
            headers={"Authorization": given.authorization} if given.authorization else {},
            timeout=aiohttp.ClientTimeout(total=limits.timeout_s, connect=min(CONNECT_TIMEOUT_S, limits.timeout_s)),
            connector=aiohttp.TCPConnector(limit=limits.requests + CHECKS, ssl=context),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Answer:
        """Wait for a free place, and try again with pauses. Raises SourceUnavailable."""
        pause = Backoff(first_s=0.2, max_s=5.0)
        async with self._slots:
            for left in reversed(range(self._limits.tries)):
                try:
                    return await self.send_once(request)
                except SourceUnavailable:
                    if not left:
                        raise
                await asyncio.sleep(pause.next_s())
        raise AssertionError("unreachable")

    async def send_once(self, request: Request) -> Answer:
        """Ahead of waiting requests, without a second attempt. Raises SourceUnavailable."""
        assert self._session is not None
        url = request.url
        try:
            async with self._session.request(
                request.method,
                url,
                params=request.params,
                data=request.form if request.body is None else request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                answer = Answer(response.status, await _read_bounded(response.content, self._limits.max_answer_mb * MIB))
        except TimeoutError as e:
            raise SourceUnavailable(f"the metric store at {url} did not answer within {self._limits.timeout_s:g} s") from e
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise SourceUnavailable(f"the metric store at {url}: {type(e).__name__}: {e}") from e
        if answer.status in (401, 403):
            raise SourceUnavailable(f"the metric store at {url} rejects the credentials: {answer.excerpt}")
        if answer.status not in request.accepted:
            raise SourceUnavailable(f"the metric store at {url} answers {answer.status}: {answer.excerpt}")
        return answer


async def _read_bounded(content: aiohttp.StreamReader, limit: int) -> bytes:
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > limit:
            raise ValueError(f"an answer of more than {limit // MIB} MiB")
        parts.append(part)
    return b"".join(parts)
