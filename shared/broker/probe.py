"""Whether the broker stores messages: a connection that answers says nothing about a store or a disk that is full."""

import asyncio
import time

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from shared.broker.streams import PROBE
from shared.errors import Unavailable
from shared.settings import NatsSettings

EVERY_S = 2.0  # however often it is asked
TIMEOUT_S = 1.8  # below the time limit of a readiness check


class StoreProbe:
    """Has one small message stored in the stream PROBE, which keeps only the last one of each service."""

    def __init__(self, nats: NatsSettings, service: str) -> None:
        self._subject = f"{nats.prefix}.probe.{service}"
        self._stream = nats.stream(PROBE)
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._why: str | None = None

    async def require(self, client: Client) -> None:
        """Raises Unavailable with the broker's reason when it does not store."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= EVERY_S:
                self._why = await self._ask(client)
                self._asked_at = time.monotonic()
        if self._why is not None:
            raise Unavailable(self._why)

    async def _ask(self, client: Client) -> str | None:
        try:
            answer = orjson.loads((await client.request(self._subject, b"", timeout=TIMEOUT_S)).data)
        except NoRespondersError:
            return f"the broker has no stream {self._stream}, or no leader for it; `jobtide provision` creates it"
        except (NatsError, OSError, TimeoutError, orjson.JSONDecodeError):
            return "the broker did not acknowledge a message in time"
        if "error" in answer:
            return f"the broker refuses to store messages: {answer['error'].get('description')}"
        return None
