"""The places of the archive and the metric stores: while one of them is unavailable, the jobs that need it wait.

An outage never counts against a job. A failed attempt counts only if its dependency answers a probe right afterwards.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial

import structlog

from services.archiver.failures import describe, is_out_of_room
from services.archiver.folder import ArchiveFolder
from services.archiver.prometheus import ArchiverNumbers
from shared.archive import ArchiveUnavailable
from shared.backoff import sleep_unless
from shared.errors import Unavailable
from shared.metricdata import MetricSource, SourceUnavailable

log = structlog.get_logger()

PROBE_INTERVAL_S = 5.0
PROBE_TIMEOUT_S = 5.0


class Dependency:
    """``probe`` raises when the dependency cannot be used. ``error`` is the reason, None while it is available."""

    def __init__(self, name: str, address: str, probe: Callable[[], Awaitable[object]], numbers: ArchiverNumbers) -> None:
        self.name = name
        self.address = address
        self.error: Exception | None = None
        self._probe = probe
        self._numbers = numbers
        self._lock = asyncio.Lock()
        self._probed_at = 0.0
        self._down_since = 0.0
        numbers.dependency(name, address, is_up=True)

    async def is_available(self) -> bool:
        """Probe the dependency, or use the result of a probe that ended after this call."""
        asked_at = time.monotonic()
        async with self._lock:
            if self._probed_at < asked_at:
                try:
                    async with asyncio.timeout(PROBE_TIMEOUT_S):
                        await self._probe()
                except TimeoutError:
                    self.fail(Unavailable(f"no answer within {PROBE_TIMEOUT_S:g} s"))
                except Exception as e:  # noqa: BLE001 - whatever the reason, the dependency cannot be used
                    self.fail(e)
                else:
                    self._recover()
                self._probed_at = time.monotonic()
            return self.error is None

    async def require(self) -> None:
        """Probe the dependency. Raises the reason when it cannot be used."""
        if not await self.is_available() and self.error is not None:
            raise self.error

    def fail(self, error: Exception) -> None:
        if self.error is None:
            self._down_since = time.monotonic()
            log.warning("dependency_unavailable", dependency=self.name, address=self.address, why=describe(error))
        self.error = error
        self._numbers.dependency(self.name, self.address, is_up=False)

    def _recover(self) -> None:
        if self.error is not None:
            log.info(
                "dependency_available", dependency=self.name, address=self.address, outage_s=round(time.monotonic() - self._down_since)
            )
        self.error = None
        self._numbers.dependency(self.name, self.address, is_up=True)


class Dependencies:
    """``archive_gates``: whether jobs wait while the archive cannot be written; otherwise such attempts count."""

    def __init__(
        self,
        folder: ArchiveFolder,
        source: MetricSource | None,
        clusters: Collection[str],
        numbers: ArchiverNumbers,
        *,
        archive_gates: bool,
    ) -> None:
        self.archives = {part: Dependency("archive", part.address, partial(folder.check, part), numbers) for part in folder.store.parts()}
        for part, why in folder.unopened.items():
            self.archives[part].fail(ArchiveUnavailable(why))
        self._folder = folder
        self._archive_gates = archive_gates
        self._source = source
        self._clusters = clusters
        self.stores = {} if source is None else {store: _store(source, store, numbers) for store in source.stores()}

    def blocking(self, cluster: str, *, needs_data: bool) -> Dependency | None:
        """The dependency that an attempt for a job of ``cluster`` would fail on now."""
        archive = self._archive_of(cluster)
        if self._archive_gates and archive.error is not None:
            return archive
        store = self._store_of(cluster) if needs_data else None
        return store if store is not None and store.error is not None else None

    @property
    def blocks_all(self) -> bool:
        """Whether nothing can be archived at all."""
        if self._archive_gates and all(archive.error is not None for archive in self.archives.values()):
            return True
        stores = [self._store_of(cluster) for cluster in self._clusters]
        return bool(stores) and all(store is not None and store.error is not None for store in stores)

    async def is_to_blame(self, error: Exception, cluster: str, *, bytes_needed: int) -> bool:
        """Whether ``error`` is due to an outage and not to the job. ``bytes_needed``: size of the entry, 0 when unknown."""
        if isinstance(error, SourceUnavailable):
            store = self._store_of(cluster)
            return store is not None and not await store.is_available()
        cause = error if isinstance(error, OSError | ArchiveUnavailable) else error.__cause__
        if not self._archive_gates or not isinstance(cause, OSError | ArchiveUnavailable):
            return False
        archive = self._archive_of(cluster)
        if isinstance(cause, ArchiveUnavailable):
            await archive.is_available()  # it may be the place of moved entries, so that this one works
            return True
        if is_out_of_room(cause):
            self._folder.require_room(self._folder.store.part_of(cluster), bytes_needed)
            archive.fail(cause)
            return True
        return not await archive.is_available()

    async def keep_probing(self, stop: asyncio.Event) -> None:
        """Probe everything at regular intervals, until ``stop``."""
        while not await sleep_unless(stop, PROBE_INTERVAL_S):
            await asyncio.gather(*(one.is_available() for one in (*self.archives.values(), *self.stores.values())))

    def _archive_of(self, cluster: str) -> Dependency:
        return self.archives[self._folder.store.part_of(cluster)]

    def _store_of(self, cluster: str) -> Dependency | None:
        return None if self._source is None else self.stores.get(self._source.store_of(cluster))


def _store(source: MetricSource, store: str, numbers: ArchiverNumbers) -> Dependency:
    return Dependency("metric_store", store, lambda: source.check(store), numbers)
