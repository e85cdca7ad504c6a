"""Tests whether the broker can store messages: it answers on a connection even if its store or disk is full."""

import asyncio
import time

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from shared.broker.streams import PROBE
from shared.errors import Unavailable
from shared.settings import NatsSettings

INTERVAL_S = 4.0  # between two probe messages, however often the check runs
TIMEOUT_S = 1.2  # twice below the time limit of a readiness check
ALIVE_TIMEOUT_S = 0.6
# As large as most messages of adapters: a disk without room for them may still have room for an empty one. A stream whose
# write failed stores nothing until nats-server is restarted, even when there is room again, and this one then shows it.
BODY = bytes(64 * 1024)
_ALWAYS_REFUSED = {"Nats-Expected-Stream": "none"}


class StoreProbe:
    """Stores a message in the stream PROBE, which retains only the last one of each service."""

    def __init__(self, nats: NatsSettings, service: str) -> None:
        self._subject = f"{nats.prefix}.probe.{service}"
        self._stream = nats.stream(PROBE)
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._why: str | None = None

    async def require(self, client: Client) -> None:
        """Raises Unavailable with the broker's reason when it does not store."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= INTERVAL_S:
                self._why = await self._ask(client)
                self._asked_at = time.monotonic()
        if self._why is not None:
            raise Unavailable(self._why)

    async def _ask(self, client: Client) -> str | None:
        try:
            answer = orjson.loads((await client.request(self._subject, BODY[: client.max_payload // 2], timeout=TIMEOUT_S)).data)
        except NoRespondersError:
            return f"the broker has no stream {self._stream}, or no leader for it; `jobtide provision` creates it"
        except (NatsError, OSError, TimeoutError, orjson.JSONDecodeError):
            if await self._is_alive(client):
                return "the broker answers but stores no message in time: if its disk is or was full, make room and restart it"
            return "the broker did not acknowledge a message in time"
        if "error" in answer:
            return f"the broker refuses to store messages: {answer['error'].get('description')}"
        return None

    async def _is_alive(self, client: Client) -> bool:
        """Whether the stream responds to a message that it refuses without writing it."""
        try:
            await client.request(self._subject, b"", timeout=ALIVE_TIMEOUT_S, headers=dict(_ALWAYS_REFUSED))
        except (NatsError, OSError, TimeoutError):
            return False
        return True
