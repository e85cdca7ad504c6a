"""A client of ``/api/events/``."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from tests.gateway.stack import Client, token

WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    id: str
    data: Any


class Listener:
    """``last_id`` is the last id received, as in browsers; ``comments`` counts keep-alive comments."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.retry = ""
        self.comments = 0
        self._unread: list[Event] = []

    async def next(self) -> Event:
        """The next event. Raises EOFError when the stream has ended, TimeoutError when nothing arrives."""
        async with asyncio.timeout(WAIT_S):
            while True:
                event = await self._block()
                if event is not None:
                    return event

    async def names(self, count: int) -> list[str]:
        """The names of the next events."""
        return [(await self.next()).name for _ in range(count)]

    async def position(self) -> None:
        """Read up to the next block without an event: the beginning, or a keep-alive comment."""
        async with asyncio.timeout(WAIT_S):
            while (event := await self._block()) is not None:
                self._unread.append(event)

    async def ended(self) -> bool:
        """Read to the end of the stream, skipping events."""
        try:
            while True:
                await self.next()
        except EOFError:
            return True

    async def _block(self) -> Event | None:
        fields: dict[str, str] = {}
        while True:
            line = (await self.response.content.readline()).decode()
            if not line:
                raise EOFError
            if line == "\n":
                break
            name, _, value = line.rstrip("\n").partition(": ")
            if not name or name == ":":
                self.comments += 1
            fields[name] = value
        self.last_id = fields.get("id", self.last_id)
        self.retry = fields.get("retry", self.retry)
        if "data" not in fields:
            return None
        return Event(fields.get("event", "message"), fields["id"], json.loads(fields["data"]))


@asynccontextmanager
async def listening(
    api: Client, query: str = "", *, auth: str | None = None, cookie: str = "", last_id: str | None = None, path: str = "/api/events/"
) -> AsyncIterator[Listener]:
    """A connection whose first line was read, so that all later changes arrive; with the token ``auth`` or the session ``cookie``."""
    given = {"Cookie": f"session={cookie}"} if cookie else {"X-Auth-Token": token("api") if auth is None else auth}
    headers = given | ({"Last-Event-ID": last_id} if last_id is not None else {})
    url = URL(f"http://{api.address}{path}{query}", encoded=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=WAIT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
        listener = Listener(response)
        if response.status == 200:
            await listener.position()
        yield listener
