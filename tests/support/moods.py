"""Ways in which a metric store does not answer; each is set as its ``mood``."""

import asyncio
from typing import Any

from aiohttp import web


async def hangs(_: dict[str, Any]) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def fails(_: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=500, text="boom")


class Held:
    """Holds back answers to queries until ``may_answer``."""

    def __init__(self) -> None:
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def __call__(self, body: dict[str, Any]) -> None:
        if body["queries"]:
            self.is_asked.set()
            await self.may_answer.wait()
