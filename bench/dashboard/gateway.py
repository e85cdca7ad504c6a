"""A gateway on a history, ready for queries."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.context import Bench
from bench.dashboard.client import Client, client_of_site
from bench.history.stores import Store
from bench.support.servers import Engine
from bench.support.site import PreparedSite, Site
from bench.support.usage import Memory, memory_of

LOAD_SECONDS = "jobtide_gateway_column_load_seconds"
LOAD_S = 300.0
MAX_LAG = "jobtide_gateway_loop_lag_max_seconds"


@dataclass(frozen=True, slots=True)
class Gateway:
    """``load_s`` is the time from the start of the process until its columns are loaded."""

    site: Site
    store: Store
    client: Client
    load_s: float

    @property
    def setting(self) -> dict[str, str]:
        return {"services": "gateway", "database": self.store.engine, "stored": f"{self.store.history.jobs:,} jobs"}

    def memory(self) -> Memory:
        return memory_of([self.site.services["gateway"].pid])

    async def take_max_lag(self) -> float:
        """The longest delay of its event loop since the last call, seconds."""
        await asyncio.sleep(0.05)  # its timer comes before the answer
        return (await self.client.metrics())[MAX_LAG]


Prepare = Callable[[PreparedSite, Store], Awaitable[Mapping[str, str] | None]]


@asynccontextmanager
async def gateway_over(
    bench: Bench, engine: Engine, finished: int, *others: str, connections: int = 1, prepare: Prepare | None = None
) -> AsyncIterator[Gateway]:
    """``others`` are services beside it; ``prepare`` comes before all of them, and may return settings of the gateway."""
    bench.say(f"{engine}: storing {finished:,} finished jobs")
    store = await bench.stores.of(engine, finished, bench.scale.running)
    with bench.folder() as folder:
        async with bench.stores.site(store, folder) as prepared:
            variables = None if prepare is None else await prepare(prepared, store)
            await prepared.start(*others)
            began = time.monotonic()
            site = await prepared.start("gateway", **(variables or {}))
            async with client_of_site(site, connections) as client:
                await _loaded(client)
                yield Gateway(site, store, client, time.monotonic() - began)


async def _loaded(client: Client) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(LOAD_S):
        while (await client.metrics()).get(LOAD_SECONDS) == 0.0:
            await asyncio.sleep(0.02)
