"""Writes periods to files, removes old files, and frees memory."""

import asyncio
import time
from collections.abc import Callable

import structlog

from services.metricstore.folder import PeriodFile
from services.metricstore.format import Place
from services.metricstore.prometheus import MetricStoreNumbers
from services.metricstore.store import Key, Store
from shared.backoff import Backoff, sleep_unless
from shared.errors import Unavailable

log = structlog.get_logger()

EVERY_S = 1.0


class Saver:
    """Each period with new samples is written again ``save_s`` after the first of them. ``applied`` is how far the stream has been read."""

    def __init__(self, store: Store, numbers: MetricStoreNumbers, applied: Callable[[], int], *, save_s: float, max_bytes: int) -> None:
        self._store = store
        self._numbers = numbers
        self._applied = applied
        self._save_s = save_s
        self._max_bytes = max_bytes
        self._seen: dict[Key, float] = {}  # when a period became dirty
        self._busy = asyncio.Lock()
        self._failure: str | None = None
        self._removal_failure: str | None = None
        store.make_room = self.save_now

    async def require(self) -> None:
        """Raises Unavailable while files cannot be written or removed."""
        if self._failure is not None:
            raise Unavailable(f"samples cannot be written to files: {self._failure}")
        if self._removal_failure is not None:
            raise Unavailable(f"files of old samples cannot be removed: {self._removal_failure}")

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Run until ``stop``. Samples that are then only in memory are still in the stream."""
        pause = Backoff(first_s=1.0, max_s=60.0)
        while not await sleep_unless(stop, EVERY_S):
            tick()
            self._store.drop()
            try:
                for key in self._due():
                    await self.save(key, self._applied())
                    tick()
                    if stop.is_set():
                        return
                if self._failure is not None:
                    log.info("samples_written_again")
                self._failure = None
                pause.reset()
            except OSError:
                await pause.wait(stop)
            self._expire()
            self._numbers.files(len(self._store.folder.files), self._store.folder.size)

    def _expire(self) -> None:
        try:
            self._store.expire(self._max_bytes)
            self._removal_failure = None
        except OSError as e:
            if self._removal_failure is None:
                log.error("samples_not_removed", why=str(e))
            self._removal_failure = e.strerror or str(e)

    def _due(self) -> list[Key]:
        """The periods to write. While files cannot be written, all dirty ones: the failure ends once all are written."""
        now = time.monotonic()
        self._seen = {key: self._seen.get(key, now) for key in self._store.dirty if key not in self._store.folder.lost}
        return [key for key, since in self._seen.items() if self._failure is not None or now - since >= self._save_s]

    def _fail(self, error: OSError) -> None:
        if self._failure is None:
            log.error("samples_not_written", why=str(error))
        self._failure = error.strerror or str(error)

    async def save(self, key: Key, applied: int) -> None:
        """Write one period. Raises OSError; the period is then still dirty."""
        async with self._busy:
            if key not in self._store.dirty or key in self._store.folder.lost:
                return
            write = self._prepared(key, applied)
            self._store.saving[key] = self._store.dirty.pop(key)
            try:
                file = await asyncio.to_thread(write)
            except BaseException as e:
                if isinstance(e, OSError):
                    self._fail(e)
                since = self._store.saving[key]
                self._store.dirty[key] = min(since, self._store.dirty.get(key, since))
                raise
            finally:
                del self._store.saving[key]
            self._note(file)

    def save_now(self, key: Key) -> None:
        """Write one period immediately and free its memory. If that fails, it stays in memory."""
        if key in self._store.saving or key in self._store.folder.lost:
            return
        if key in self._store.dirty:
            try:
                file = self._prepared(key, self._applied())()
            except OSError as e:
                self._fail(e)
                return
            del self._store.dirty[key]
            self._note(file)
        self._store.give_up(key)

    def _prepared(self, key: Key, applied: int) -> Callable[[], PeriodFile]:
        """A function that writes the file. Its position ends before samples of other periods that may not be in files yet."""
        store, (cluster, period) = self._store, key
        others = [sequence for other, sequence in (*store.dirty.items(), *store.saving.items()) if other != key]
        position = max(0, min([applied + 1, *others]) - 1)
        place = Place(store.stream, position, applied, store.mark)
        return lambda: store.folder.write(cluster, period, store.rows(key), place)

    def _note(self, file: PeriodFile) -> None:
        self._store.folder.note(file)
        self._seen.pop((file.cluster, file.period), None)
        self._numbers.saved(file.size)
