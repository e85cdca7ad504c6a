"""Growing, jittered pauses between attempts."""

import asyncio
import random


class Backoff:
    """Pauses that double from ``first_s`` to ``max_s``, each jittered by up to a third.

    ``wait`` returns early when ``stop`` is set; ``reset`` is called after a success.
    """

    def __init__(self, first_s: float = 0.2, max_s: float = 10.0) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._next_s = first_s

    def reset(self) -> None:
        self._next_s = self._first_s

    def next_s(self) -> float:
        """The next pause in seconds; each call lengthens the one after it."""
        pause_s = self._next_s * random.uniform(0.67, 1.0)
        self._next_s = min(self._next_s * 2, self._max_s)
        return pause_s

    async def wait(self, stop: asyncio.Event) -> None:
        await sleep_unless(stop, self.next_s())


async def sleep_unless(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, or return at once when ``stop`` is set; true when it was set."""
    try:
        await asyncio.wait_for(stop.wait(), timeout=seconds)
    except TimeoutError:
        return False
    return True


async def first_of(*events: asyncio.Event) -> asyncio.Event:
    """Wait until one of the events is set; the first of those that are."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return next(event for event in events if event.is_set())
