"""Databases filled with a history, and sites over them. Filling takes minutes, so rows of one run share them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.history.clusters import CLUSTERS
from bench.history.jobs import History
from bench.history.seed import seed_history
from bench.support.cluster import cluster_text
from bench.support.database import execute, reading
from bench.support.seed import begin_log_after
from bench.support.servers import Databases, Engine
from bench.support.site import PreparedSite, site_over
from shared.settings import DatabaseSettings

_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Store:
    """``fill_s``: how long filling it took."""

    engine: Engine
    database: DatabaseSettings
    history: History
    fill_s: float


class Stores:
    """Stores are created on first use and shared until the end of the run."""

    def __init__(self, databases: Databases, root: Path) -> None:
        self._databases = databases
        self._root = root
        self._stores: dict[tuple[Engine, int, int], Store] = {}
        # The present of all histories: filters such as the last week, and the durations of running jobs, count from the real one.
        self._end = int(time.time()) // _HOUR_S * _HOUR_S

    async def of(self, engine: Engine, finished: int, running: int) -> Store:
        key = engine, finished, running
        if key not in self._stores:
            folder = self._root / f"history-{finished}-{running}"
            folder.mkdir(exist_ok=True)
            database = await self._databases.empty(engine, folder)
            began = time.monotonic()
            history = History(finished, running, self._end)
            await seed_history(database, history, "none yet")
            self._stores[key] = Store(engine, database, history, time.monotonic() - began)
        return self._stores[key]

    @asynccontextmanager
    async def site(self, store: Store, folder: Path) -> AsyncIterator[PreparedSite]:
        """A site on the store, without services. Its log begins after the position, as if earlier events had expired."""
        clusters = [cluster_text(), *(plan.text() for plan in CLUSTERS)]
        async with site_over(self._databases, store.engine, store.database, folder, clusters) as (site, client):
            async with reading(store.database) as reader:
                ((position,),) = await reader.rows("SELECT sequence FROM position WHERE stream = 'EVENTS'")
            created = await begin_log_after(client, site.nats, position)
            await execute(store.database, f"UPDATE position SET stream_created = '{created}' WHERE stream = 'EVENTS'")
            yield site
