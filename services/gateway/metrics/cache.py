"""Answers that may be asked for again: bounded in bytes, each key computed once at a time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    value: V
    size: int
    until: float


class Cache(Generic[V]):
    """The least recently used go first. Errors are not kept: the next one who asks tries again."""

    def __init__(self, most_bytes: int, size_of: Callable[[V], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept[V]] = OrderedDict()
        self._bytes = 0
        self._loading: dict[Hashable, asyncio.Task[V]] = {}

    @property
    def bytes(self) -> int:
        return self._bytes

    async def get(self, key: Hashable, lifetime_s: float, load: Callable[[], Awaitable[V]]) -> V:
        """What is kept under ``key``, else what ``load`` gives. A caller that goes away leaves the others their load."""
        kept = self._kept.get(key)
        if kept is not None and kept.until > self._clock():
            self._kept.move_to_end(key)
            return kept.value
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
        if size <= self._most_bytes:
            self._kept[key] = _Kept(value, size, self._clock() + lifetime_s)
            self._bytes += size
            while self._bytes > self._most_bytes:
                self._forget(next(iter(self._kept)))
        return value

    def _forget(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size

    async def close(self) -> None:
        """Ends loads that nobody waits for any more."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
