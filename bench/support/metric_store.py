"""A metric store of its own process, quick enough not to be what is measured: ``python -m bench.support.metric_store``.

Speaks the query of cc-metric-store's HTTP API for node-level series: every host has every metric, from ever on. Prints
its address when it listens.
"""

import asyncio
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import orjson
from aiohttp import web

from bench.support.cluster import TIMESTEP_S
from tests.support.processes import REPOSITORY

_SHAPES = 16


@lru_cache(maxsize=1024)
def _series(shape: int, first: int, last: int) -> bytes:
    """One element of an answer: samples with three decimals, one of them missing."""
    samples = [50.0 + 40.0 * math.sin(0.37 * shape + 0.2 * place) for place in range((last - first) // TIMESTEP_S)]
    texts = [f"{sample:.3f}" for sample in samples]
    if len(samples) > 5:
        texts[5], samples[5:6] = "null", []
    statistics = f'"avg":{sum(samples) / len(samples):.2f},"min":{min(samples):.2f},"max":{max(samples):.2f}' if samples else '"avg":null'
    return f'[{{"data":[{",".join(texts)}],"from":{first},"to":{last},"resolution":{TIMESTEP_S},{statistics}}}]'.encode()


async def query(request: web.Request) -> web.Response:
    asked = orjson.loads(await request.read())
    first = int(asked["from"])
    last = first + (int(asked["to"]) - first) // TIMESTEP_S * TIMESTEP_S
    results = [_series(len(one["metric"]) + ord(one["host"][-1]) % _SHAPES, first, last) for one in asked["queries"] or []]
    return web.Response(body=b'{"results":[' + b",".join(results) + b"]}\n", content_type="application/json")


async def serve() -> None:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    for path in ("/api/query", "/api/query/"):
        app.router.add_get(path, query)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


@asynccontextmanager
async def metric_store() -> AsyncIterator[str]:
    """The address of a running one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.support.metric_store", stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        assert process.stdout is not None
        address = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        if not address:
            raise RuntimeError("the metric store did not start")
        yield address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(serve())
