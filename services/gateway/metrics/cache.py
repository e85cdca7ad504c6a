"""A cache of answers, bounded in bytes. Concurrent requests for a key share one load."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Stored(Generic[V]):
    value: V
    size: int
    until: float


class Cache(Generic[V]):
    """Evicts the least recently used value first. Errors are not cached, so the next request tries again."""

    def __init__(self, max_bytes: int, size_of: Callable[[V], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._clock = clock
        self._stored: OrderedDict[Hashable, _Stored[V]] = OrderedDict()
        self._bytes = 0
        self._loading: dict[Hashable, asyncio.Task[V]] = {}

    @property
    def bytes(self) -> int:
        return self._bytes

    async def get(self, key: Hashable, lifetime_s: float, load: Callable[[], Awaitable[V]]) -> V:
        """The cached value, or the result of ``load``. A load continues for the other callers when one is cancelled."""
        stored = self._stored.get(key)
        if stored is not None and stored.until > self._clock():
            self._stored.move_to_end(key)
            return stored.value
        task = self._loading.get(key)
        if task is None:
            task = asyncio.ensure_future(self._load(key, lifetime_s, load))
            self._loading[key] = task
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(task)

    async def _load(self, key: Hashable, lifetime_s: float, load: Callable[[], Awaitable[V]]) -> V:
        value = await load()
        self._forget(key)
        size = self._size_of(value)
        if size <= self._max_bytes:
            self._stored[key] = _Stored(value, size, self._clock() + lifetime_s)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._forget(next(iter(self._stored)))
        return value

    def _forget(self, key: Hashable) -> None:
        stored = self._stored.pop(key, None)
        if stored is not None:
            self._bytes -= stored.size

    async def close(self) -> None:
        """Cancel all running loads."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
