"""Detects a reader that lags and does not advance although its dependencies answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from shared.backoff import sleep_unless
from shared.errors import Unavailable

EVERY_S = 1.0
AFTER_S = 8.0  # longer than any batch should take, and soon enough to be reported within ten seconds


@dataclass(frozen=True, slots=True)
class Place:
    """``at`` increases with every step of the reader, which lags while ``at`` is below ``end``."""

    at: int
    end: int


class Standstill:
    """``look`` finds the place of the reader called ``name``; ``why`` is the latest failure of its loop, if it knows one."""

    def __init__(
        self, name: str, look: Callable[[], Awaitable[Place]], why: Callable[[], str | None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._look = look
        self._why = why
        self._clock = clock
        self._place: Place | None = None
        self._moved_at = clock()

    async def watch(self, stop: asyncio.Event) -> None:
        """Look once a second until ``stop``. A place that cannot be seen counts as unmoved."""
        while not stop.is_set():
            with suppress(Unavailable):  # checks of the broker and the database report it
                self.see(await self._look())
            await sleep_unless(stop, EVERY_S)

    def see(self, place: Place) -> None:
        """Take note of the place now."""
        if self._place is None or place.at != self._place.at or place.at >= place.end or self._place.at >= self._place.end:
            self._moved_at = self._clock()
        self._place = place

    async def require(self) -> None:
        """Raises Unavailable if the reader has lagged without advancing for ``AFTER_S``."""
        place, stood_s = self._place, self._clock() - self._moved_at
        if place is not None and place.at < place.end and stood_s >= AFTER_S:
            why = self._why()
            raise Unavailable(f"{self._name} stands at {place.at} of {place.end} for {stood_s:.0f} s" + (f": {why}" if why else ""))
