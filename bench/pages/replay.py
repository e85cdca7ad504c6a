"""The site behind a proxy that replaces its stream of changes: events of hours, as fast as the browser takes them, up to a rate."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

BATCH = 50  # changes that a poll of the gateway finds at 200 events/s
MAX_PER_S = 8_000  # beyond it a tab would collect more than it may in a tenth of a second
_HOP_HEADERS = {"connection", "content-length", "keep-alive", "transfer-encoding"}


@dataclass(slots=True)
class Replay:
    """``shown`` are jobs of the list on the screen, as the REST interface has them. ``sent`` counts events."""

    upstream: str
    url: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    may_send: int = 0
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, events: int) -> None:
        """So many more. Returns when the browser's connection has taken them."""
        async with self.more:
            self.may_send += events
            self.more.notify_all()
            await self.more.wait_for(lambda: self.sent >= self.may_send)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        await response.write(b"retry: 3000\nid: 0\n\n")
        source = self._events()
        while True:
            async with self.more:
                await self.more.wait_for(lambda: self.sent < self.may_send)
            begun = time.monotonic()
            count = min(BATCH, self.may_send - self.sent)
            await response.write(b"".join(itertools.islice(source, count)))
            async with self.more:
                self.sent += count
                self.more.notify_all()
            await asyncio.sleep(max(0.0, begun + count / MAX_PER_S - time.monotonic()))

    def _events(self) -> Iterator[bytes]:
        """Each 50 events are 24 starts, 24 stops of jobs that started 2,000 jobs ago, and two changes of rows on the screen."""
        template = self.shown[0] | {"metaData": None, "statistics": None, "advice": []}
        newest = max(job["id"] for job in self.shown)
        for number in itertools.count(1):
            if number % 25 == 0:
                job = self.shown[number // 25 % len(self.shown)]
                yield _event(number, job | {"footprint": {"cpu_load_avg": number % 100}, "advice": []})
            elif number % 2:
                now = int(time.time())
                yield _event(number, template | {"id": newest + number, "jobId": number, "startTime": now, "jobState": "running"})
            else:
                yield _event(number, template | {"id": max(newest, newest + number - 4001), "jobState": "completed", "duration": 3600})

    async def forward(self, request: web.Request) -> web.StreamResponse:
        client: aiohttp.ClientSession = request.app[_CLIENT]
        body = await request.read()
        async with client.request(
            request.method, f"{self.upstream}{request.raw_path}", headers=request.headers, data=body, allow_redirects=False
        ) as answer:
            headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_HEADERS]
            return web.Response(status=answer.status, headers=headers, body=await answer.read())


def _event(number: int, job: dict[str, Any]) -> bytes:
    return b"event: job\nid: %d\ndata: %b\n\n" % (number, orjson.dumps(job))


_CLIENT = web.AppKey("client", aiohttp.ClientSession)


@asynccontextmanager
async def replaying(upstream: str, shown: list[dict[str, Any]]) -> AsyncIterator[Replay]:
    """``upstream`` is the address of the gateway."""
    replay = Replay(upstream, shown=shown)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_get("/api/events/", replay.stream)
    app.router.add_route("*", "/{rest:.*}", replay.forward)
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        app[_CLIENT] = client
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            replay.url = f"http://{host}:{port}"
            yield replay
        finally:
            await runner.cleanup()
