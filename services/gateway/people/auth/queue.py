"""A fair queue for work that sign-ins wait for: one busy address does not hold up the others."""

import asyncio
import bisect
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.gateway.people.addresses import Origin
from shared.errors import Unavailable

MAX_WAITING = 256
MAX_WAIT_S = 15.0
MAX_TRUSTED = 10_000  # addresses remembered
HEAD_START = 4.0  # requests by which a trusted address goes ahead of others
NETWORK_SHARE = 8.0  # a network gets as many places as this many addresses


class TrustedAddresses:
    """Addresses from which somebody signed in; the one used longest ago is dropped above ``MAX_TRUSTED``."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def add(self, origin: Origin) -> None:
        self._known[origin.address] = None
        self._known.move_to_end(origin.address)
        if len(self._known) > MAX_TRUSTED:
            self._known.popitem(last=False)

    def __contains__(self, origin: Origin) -> bool:
        return origin.address in self._known


@dataclass(order=True, slots=True)
class _Waiter:
    """Ordered by its virtual start, then by arrival."""

    start: float
    arrival: int
    origin: Origin = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


class FairQueue:
    """``places`` at once. The next place goes to the waiter with the earliest virtual start (start-time fair queueing).

    Each request of an address starts one unit after its previous one, so an address with a single request waits for at most
    one request of each other address. Networks are limited in the same way, and addresses that signed in before start earlier.
    When the queue is full, the waiter that starts last is refused: places remain for addresses with few requests.
    """

    def __init__(self, places: int, what: str, trusted: TrustedAddresses, max_waiting: int = MAX_WAITING) -> None:
        self._free = places
        self._max_waiting = max_waiting
        self._what = what
        self._trusted = trusted
        self._waiting: list[_Waiter] = []  # sorted
        self._now = 0.0  # virtual time: the start of the request that got the last place
        self._next: dict[str, float] = {}  # virtual start of the next request of an address or network
        self._arrivals = 0

    @asynccontextmanager
    async def place(self, origin: Origin) -> AsyncIterator[None]:
        """Wait for a place and hold it. Raises Unavailable when the queue is full or after ``MAX_WAIT_S``."""
        await self.enter(origin)
        try:
            yield
        finally:
            self.leave()

    async def enter(self, origin: Origin) -> None:
        """As ``place``; every return needs a ``leave``."""
        start = self._start_of(origin)
        if self._free and not self._waiting:
            self._free -= 1
            self._now = max(self._now, start)
            return
        self._arrivals += 1
        waiter = _Waiter(start, self._arrivals, origin, asyncio.get_running_loop().create_future())
        bisect.insort(self._waiting, waiter)
        if len(self._waiting) > self._max_waiting:
            self._refuse(self._waiting.pop())
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await waiter.turn
        except BaseException as e:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._uncharge(origin)
            elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.leave()  # the place was given in the moment in which the wait ended
            if isinstance(e, TimeoutError):
                raise self._refusal() from e
            raise

    def leave(self) -> None:
        while self._waiting:
            waiter = self._waiting.pop(0)
            if not waiter.turn.done():
                self._now = max(self._now, waiter.start)
                waiter.turn.set_result(None)
                return
        self._free += 1

    def _start_of(self, origin: Origin) -> float:
        if len(self._next) > 4 * self._max_waiting:
            self._next = {key: start for key, start in self._next.items() if start > self._now}
        start = max(self._now, self._next.get(origin.address, 0.0), self._next.get(origin.network, 0.0))
        self._next[origin.address] = start + 1
        self._next[origin.network] = max(self._now, self._next.get(origin.network, 0.0)) + 1 / NETWORK_SHARE
        return start - HEAD_START if origin in self._trusted else start

    def _refuse(self, waiter: _Waiter) -> None:
        self._uncharge(waiter.origin)
        if not waiter.turn.done():
            waiter.turn.set_exception(self._refusal())

    def _uncharge(self, origin: Origin) -> None:
        """A request that got no place does not delay later ones of its address."""
        self._next[origin.address] = self._next.get(origin.address, 0.0) - 1
        self._next[origin.network] = self._next.get(origin.network, 0.0) - 1 / NETWORK_SHARE

    def _refusal(self) -> Unavailable:
        return Unavailable(f"too many {self._what} at the moment; try again soon")
