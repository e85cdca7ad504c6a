"""A client of ``graphql-transport-ws``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from services.gateway.graphql.protocol import SUBPROTOCOL
from tests.gateway.stack import Client, token

WAIT_S = 30.0


class Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.raw.send_json({"type": kind, **fields})

    async def receive(self) -> dict[str, Any]:
        """The next message; a close is ``{"type": "close", "code": …}``."""
        message = await self.raw.receive(WAIT_S)
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            return {"type": "close", "code": self.raw.close_code}
        found: dict[str, Any] = message.json()
        return found

    async def initialise(self, **payload: Any) -> None:
        await self.send("connection_init", payload=payload or {"Authorization": f"Bearer {token('api')}"})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, *, key: str = "1", **variables: Any) -> None:
        await self.send("subscribe", id=key, payload={"query": query, "variables": variables})

    async def next(self, *, key: str = "1") -> dict[str, Any]:
        """The payload of the next message, which must be a ``next``."""
        message = await self.receive()
        assert (message["type"], message.get("id")) == ("next", key), message
        payload: dict[str, Any] = message["payload"]
        return payload

    async def closed(self) -> int:
        """The code of the close; earlier messages are skipped."""
        async with asyncio.timeout(WAIT_S):
            while (message := await self.receive())["type"] != "close":
                pass
        code: int = message["code"]
        return code


@asynccontextmanager
async def connected(
    api: Client, *, headers: dict[str, str] | None = None, protocols: tuple[str, ...] = (SUBPROTOCOL,)
) -> AsyncIterator[Socket]:
    """A connection before ``connection_init``."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{api.address}/query", protocols=protocols, headers=headers or {}) as socket,
    ):
        yield Socket(socket)
