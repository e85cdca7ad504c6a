"""One task per gateway follows the database; any number of followers share its reads.

The last changes are buffered once for all followers. A follower that is too slow for the buffer, or that resumes from
before it, reads the database at its own pace until it has caught up. So a follower costs only its position, and none misses a change.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.live.changes import Change, Chunk, changes_between, is_after
from services.gateway.live.resume import resume_text, resumed
from services.gateway.prometheus import LIVE_CLIENTS, LIVE_DROPPED, LIVE_EVENTS, LIVE_OVERFLOWS
from shared.backoff import Backoff, first_of, sleep_unless
from shared.database.engine import read
from shared.database.progress import Progress, progress
from shared.errors import Unavailable

log = structlog.get_logger()

POLL_TIMEOUT_S = 30.0
MAX_BEHIND = 100_000  # events; a client further behind should reload everything


class LiveNumbers:
    """Clients that follow changes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = LIVE_CLIENTS.gauge(registry)
        self.events = LIVE_EVENTS.counter(registry)
        self.overflows = LIVE_OVERFLOWS.counter(registry)
        self.dropped = LIVE_DROPPED.counter(registry)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message to a follower: changes, or the request to start over (``is_reset``). ``at`` is its progress afterwards.

    ``chunk`` is set if the changes are a whole chunk, whose renderings followers share.
    """

    at: Progress
    changes: Sequence[Change] = ()
    is_reset: bool = False
    chunk: Chunk | None = None


class Feed:
    """Reads only while there are followers. ``max_buffered`` changes are buffered for slow followers."""

    def __init__(
        self, engine: AsyncEngine, numbers: LiveNumbers, *, poll_s: float, max_buffered: int, max_behind: int = MAX_BEHIND
    ) -> None:
        self._engine = engine
        self._numbers = numbers
        self._poll_s = poll_s
        self._max_buffered = max_buffered
        self.max_behind = max_behind
        self._followers: set[Follower] = set()
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()  # replaced after every advance
        self._buffered: deque[Chunk] = deque()
        self._buffered_changes = 0
        self.first = 0  # number of the first buffered chunk
        self.next = 0  # number of the next chunk
        self.end: Progress | None = None  # the progress after all chunks before ``end_number``; None before the first poll
        self.end_number = 0
        self.resets = 0
        self.closed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the database until ``stop``, then end every follower."""
        pause = Backoff(first_s=self._poll_s)
        is_away = False
        try:
            while not stop.is_set():
                if not self._followers:
                    self._forget()
                    self._wanted.clear()
                    await first_of(stop, self._wanted)
                    continue
                try:
                    async with asyncio.timeout(POLL_TIMEOUT_S):
                        await self._poll()
                except (Unavailable, TimeoutError) as e:
                    if not is_away:
                        log.warning("changes_not_read", why=str(e))
                    is_away = True
                    await pause.wait(stop)
                    continue
                is_away = False
                pause.reset()
                await sleep_unless(stop, self._poll_s)
        finally:
            self.closed.set()
            self._wake()

    async def open(self, after: str | None) -> "Follower":
        """A follower that starts after ``after``, a ``resume_text``, or now without one. Use it as a context manager.

        It starts with a reset if ``after`` belongs to other tables, was never reached, or is too far back. Raises Unavailable.
        """
        now = await read(self._engine, progress)
        if after is None:
            return Follower(self, now)
        earlier = resumed(after, now)
        return Follower(self, now, is_reset=True) if earlier is None else Follower(self, earlier)

    def enter(self, follower: "Follower") -> None:
        self._followers.add(follower)
        self._wanted.set()

    def leave(self, follower: "Follower") -> None:
        self._followers.discard(follower)

    def buffered(self, number: int) -> Chunk:
        return self._buffered[number - self.first]

    def between(self, after: Progress, until: Progress) -> AsyncIterator[Chunk]:
        return changes_between(self._engine, after, until)

    def overflowed(self) -> None:
        self._numbers.overflows.inc()

    def move(self) -> asyncio.Event:
        """An event that is set at the next change."""
        return self._moved

    async def _poll(self) -> None:
        now = await read(self._engine, progress)
        if self.end is None:
            self._reach(now)
            return
        if not now.follows(self.end):
            log.info("changes_reset", before=resume_text(self.end), now=resume_text(now))
            self._forget()
            self.resets += 1
            self._reach(now)
            return
        if now == self.end:
            return
        async for chunk in changes_between(self._engine, self.end, now):
            self._keep(chunk)
            await asyncio.sleep(0)  # the next chunk may be ready immediately: let other tasks run
        self._reach(now)

    def _reach(self, at: Progress) -> None:
        self.end, self.end_number = at, self.next
        self._wake()

    def _keep(self, chunk: Chunk) -> None:
        self._buffered.append(chunk)
        self._buffered_changes += len(chunk.changes)
        self.next += 1
        while self._buffered_changes > self._max_buffered:
            self._buffered_changes -= len(self._buffered.popleft().changes)
            self.first += 1
        self._wake()

    def _forget(self) -> None:
        """Chunks after a pause do not continue those before it."""
        self._buffered.clear()
        self._buffered_changes = 0
        self.first = self.next = self.next + 1  # a gap in the numbers, so that no follower continues across the pause
        self.end = None

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class Follower:
    """One reader of the feed. ``take`` must not be called concurrently."""

    def __init__(self, feed: Feed, at: Progress, *, is_reset: bool = False) -> None:
        self._feed = feed
        self.at = at
        self._must_reset = is_reset
        self._resets = feed.resets
        self._number: int | None = None  # number of the next chunk; None: read it from the database
        self._reading: AsyncIterator[Chunk] | None = None
        self._until = at  # the end of that reading, and the number of the chunk after it
        self._then = 0

    def __enter__(self) -> "Follower":
        self._feed.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.leave(self)

    async def take(self, within_s: float) -> Taken | None:
        """The next changes, in order; None if there is none within ``within_s``, or if the feed is closed.

        Raises Unavailable when it has to read the database and cannot reach it; call it again after a pause.
        """
        feed = self._feed
        give_up = asyncio.get_running_loop().time() + within_s
        while not feed.closed.is_set():
            moved = feed.move()
            if self._must_reset or self._resets != feed.resets:
                if feed.end is not None:
                    return self._reset(feed.end)
            elif self._reading is not None:
                found = await self._read_on()
                if found is not None:
                    return found
                continue
            elif feed.end is not None and (self._number is None or self._number < feed.first):
                if self._catch_up(feed.end):
                    continue
            elif self._number is not None and self._number < feed.next:
                found = self._next_buffered()
                if found is not None:
                    return found
                continue
            try:
                async with asyncio.timeout_at(give_up):
                    await moved.wait()
            except TimeoutError:
                return None
        return None

    def _reset(self, end: Progress) -> Taken:
        self._must_reset, self._resets = False, self._feed.resets
        self.at, self._number, self._reading = end, self._feed.end_number, None
        return Taken(end, is_reset=True)

    def _catch_up(self, end: Progress) -> bool:
        """False while there is nothing to read yet, because the feed is reading more than its buffer holds."""
        feed = self._feed
        if end.events - self.at.events > feed.max_behind:
            self._must_reset = True
            return True
        if self._number is not None:
            feed.overflowed()
            self._number = None
        if self.at.events < end.events or self.at.nodes < end.nodes:
            self._reading, self._until, self._then = feed.between(self.at, end), end, feed.end_number
            return True
        if feed.end_number < feed.first:
            return False
        self._number = feed.end_number
        return True

    async def _read_on(self) -> Taken | None:
        assert self._reading is not None
        try:
            chunk = await anext(self._reading, None)
        except BaseException:
            self._number, self._reading = None, None  # the next call restarts at ``at``
            raise
        if chunk is None:
            self._reading, self._number = None, self._then
            self._advance(self._until)
            return None
        self.at = chunk.end
        return Taken(chunk.end, chunk.changes)

    def _next_buffered(self) -> Taken | None:
        feed = self._feed
        assert self._number is not None
        chunk, before = feed.buffered(self._number), self.at
        self._number += 1
        self._advance(chunk.end)
        if self._number == feed.end_number and feed.end is not None:
            self._advance(feed.end)
        changes = [change for change in chunk.changes if is_after(change, before)]
        if not changes:
            return None
        return Taken(self.at, changes, chunk=chunk if len(changes) == len(chunk.changes) else None)

    def _advance(self, to: Progress) -> None:
        """Never backwards: a follower from another gateway may be ahead of this feed."""
        self.at = replace(to, events=max(self.at.events, to.events), nodes=max(self.at.nodes, to.nodes))
