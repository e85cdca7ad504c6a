"""A metric store with files, without a broker."""

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from prometheus_client import CollectorRegistry

from services.metricstore.folder import Folder
from services.metricstore.grids import PERIOD_S
from services.metricstore.lines import Decoder, Samples, Source
from services.metricstore.prometheus import MetricStoreNumbers
from services.metricstore.query import answer, select
from services.metricstore.request import read_query
from services.metricstore.saving import Saver
from services.metricstore.settings import MetricStoreSettings
from services.metricstore.store import Store
from shared.domain.clusters import read_cluster
from tests.metricstore.site import QUICK, StoreClient, cluster_text, now
from tests.support.waiting import until

STREAM = "stream"
METRICS = {"cpu_load": (60, "avg"), "net_rx": (10, "sum"), "odd": (7, "sum"), "slow": (7200, "sum")}
HOUR = now() // PERIOD_S * PERIOD_S


def at_once(path: Path) -> MetricStoreSettings:
    """Settings by which samples are in files after a second, and in memory for an hour."""
    return QUICK.model_copy(update={"path": path, "save_s": 1.0, "memory_hours": 1.0})


class LocalStore:
    """A store without a broker: ``log`` has the messages of the stream, the first with sequence 1."""

    def __init__(self, root: Path, retention_s: int = 40 * 86_400) -> None:
        self.root = root
        self.retention_s = retention_s
        self.log: list[bytes] = []
        self.wall = self.broker = float(now())
        self.metrics = METRICS
        self.start()

    def start(self) -> None:
        """Discard the memory, open the files, and read the log from their position."""
        self.folder = Folder(self.root)
        self.lock = self.folder.opened()
        self.lock.__enter__()
        self.store = Store(
            self.folder,
            memory_s=7200,
            retention_s=self.retention_s,
            max_retention_s=20 * PERIOD_S,
            max_ahead_s=600,
            max_series=1000,
            clock=lambda: self.wall,
        )
        self.store.needed_since = {}
        self.store.stream = STREAM
        self.decoder = Decoder(self.store.catalogue)
        self.configure()
        self.applied = self.folder.start_position(STREAM)
        self.saver = Saver(self.store, MetricStoreNumbers(CollectorRegistry()), lambda: self.applied, save_s=0, max_bytes=1 << 40)
        while self.applied < len(self.log):
            self._apply(min(3, len(self.log) - self.applied))

    def configure(self, **changed: tuple[int, str]) -> None:
        self.metrics = self.metrics | changed
        self.store.configure({"nova": read_cluster(cluster_text("nova", self.metrics))})
        self.decoder.forget()

    def crash(self, retention_s: int | None = None) -> None:
        self.retention_s = retention_s or self.retention_s
        self.lock.__exit__(None, None, None)
        self.start()

    def write(self, *lines: str) -> None:
        self.log.append("\n".join(lines).encode())
        self._apply(1)

    def _apply(self, count: int) -> None:
        samples = Samples()
        for payload in self.log[self.applied : self.applied + count]:
            self.decoder.decode(payload, Source("nova"), int(self.broker), samples)
        self.store.add(samples, int(self.broker), (self.applied + 1, self.applied + count))
        self.applied += count

    def free(self, selector: list[str], end: int) -> int:
        self.log.append(b"")
        for key in self.store.periods_before([selector], end):
            self.store.free_period(key, [selector], end, len(self.log))
        self.applied = len(self.log)
        return self.store.freed([selector], end)

    def element(self, host: str, metric: str, start: int, end: int, **more: Any) -> dict[str, Any] | None:
        """The answer to a query for one series."""
        queries = [{"metric": metric, "host": host, **more}]
        question = read_query(orjson.dumps({"cluster": "nova", "from": start, "to": end, "queries": queries, "with-padding": False}))
        for key, path in self.store.unread_files("nova", start, end):
            self.store.know(key, path, self.store.read_index(key, path))
        found = orjson.loads(answer(select(self.store.catalogue, question), 1_000_000))["results"][0]
        return found[0] if found else None

    def save(self, period: int | None = None) -> None:
        """Write the files of all dirty periods, or one."""
        for key in [key for key in self.store.dirty if period is None or key[1] == period]:
            asyncio.run(self.saver.save(key, self.applied))

    def value(self, host: str, metric: str, time: int) -> float:
        """The sample of the slot of a time, from memory or files; NaN without one."""
        for key, path in self.store.unread_files("nova", 0, 1 << 40):
            self.store.know(key, path, self.store.read_index(key, path))
        found = self.store.catalogue.clusters["nova"].hosts.get(host, {}).get(metric, {}).get(("", ""))
        if found is None:
            return math.nan
        slot = found.grid.slot_of(time)
        return float(found.grid.read(np.array([found.row]), slot, slot + 1)[0, 0])


async def saved(store: StoreClient, files: int) -> None:
    async def are_written() -> bool:
        return (await store.numbers())["jobtide_metricstore_files"] >= files

    await until(are_written)
