"""One task per gateway follows the database; any number of followers share its reads.

The last changes are kept once, for all. A follower holds a place among them; one that is too slow for them, or that
resumes from an older place, reads the database at its own pace until it has caught up. So no follower costs more than
its place, and none loses anything.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.live.changes import Change, Chunk, Cursor, changes_between, is_after
from services.gateway.live.position import position
from services.gateway.numbers import LiveNumbers
from shared.backoff import Backoff, first_of, sleep_unless
from shared.errors import Unavailable

log = structlog.get_logger()

POLL_TIMEOUT_S = 30.0
MAX_BEHIND = 100_000  # events; a client further behind should reload everything


@dataclass(frozen=True, slots=True)
class Taken:
    """What a follower got: changes, or that it has to begin anew (``is_reset``); ``cursor`` is where it stands afterwards.

    ``chunk`` is what the changes are all of, if others may get it too.
    """

    cursor: Cursor
    changes: Sequence[Change] = ()
    is_reset: bool = False
    chunk: Chunk | None = None


class Feed:
    """Reads only while there are followers. ``most_kept`` changes are buffered for slow followers."""

    def __init__(self, engine: AsyncEngine, numbers: LiveNumbers, *, poll_s: float, most_kept: int, most_behind: int = MAX_BEHIND) -> None:
        self._engine = engine
        self._numbers = numbers
        self._poll_s = poll_s
        self._most_kept = most_kept
        self.most_behind = most_behind
        self._followers: set[Follower] = set()
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()  # replaced after every advance
        self._kept: deque[Chunk] = deque()
        self._kept_changes = 0
        self.first = 0  # number of the first chunk kept; they are counted through
        self.next = 0  # number of the chunk that comes next
        self.end: Cursor | None = None  # all chunks before ``end_number`` lead here; None while nothing is known
        self.end_number = 0
        self.resets = 0
        self.closed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the database until ``stop``; then every follower ends."""
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
        """A follower from ``after`` on, a text of ``Cursor``; from now on without one. To be used as a context manager.

        A place of other tables, one that was never reached, or one too long ago begins with a reset. Raises Unavailable.
        """
        now = await position(self._engine)
        if after is None:
            return Follower(self, now)
        cursor = Cursor.parse(after)
        if cursor is None or not cursor.is_reached_by(now):
            return Follower(self, now, is_reset=True)
        return Follower(self, cursor)

    def enter(self, follower: "Follower") -> None:
        self._followers.add(follower)
        self._wanted.set()

    def leave(self, follower: "Follower") -> None:
        self._followers.discard(follower)

    def kept(self, number: int) -> Chunk:
        return self._kept[number - self.first]

    def between(self, after: Cursor, until: Cursor) -> AsyncIterator[Chunk]:
        return changes_between(self._engine, after, until)

    def overflowed(self) -> None:
        self._numbers.overflows.inc()

    def move(self) -> asyncio.Event:
        """An event that is set at the next change."""
        return self._moved

    async def _poll(self) -> None:
        now = await position(self._engine)
        if self.end is None:
            self._reach(now)
            return
        if not self.end.is_reached_by(now):
            log.info("changes_reset", before=str(self.end), now=str(now))
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

    def _reach(self, cursor: Cursor) -> None:
        self.end, self.end_number = cursor, self.next
        self._wake()

    def _keep(self, chunk: Chunk) -> None:
        self._kept.append(chunk)
        self._kept_changes += len(chunk.changes)
        self.next += 1
        while self._kept_changes > self._most_kept:
            self._kept_changes -= len(self._kept.popleft().changes)
            self.first += 1
        self._wake()

    def _forget(self) -> None:
        """Chunks after a pause would not follow on those before."""
        self._kept.clear()
        self._kept_changes = 0
        self.first = self.next = self.next + 1  # a hole, so that no follower takes one for the continuation of the other
        self.end = None

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class Follower:
    """One reader of the feed. ``take`` must not be called concurrently."""

    def __init__(self, feed: Feed, cursor: Cursor, *, is_reset: bool = False) -> None:
        self._feed = feed
        self.cursor = cursor
        self._must_reset = is_reset
        self._resets = feed.resets
        self._number: int | None = None  # of the next chunk; None: to be read from the database
        self._reading: AsyncIterator[Chunk] | None = None
        self._until = cursor  # of that reading, and the chunk that follows on it
        self._then = 0

    def __enter__(self) -> "Follower":
        self._feed.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.leave(self)

    async def take(self, within_s: float) -> Taken | None:
        """The next changes, in order; None when there was none ``within_s``, or when the feed is closed.

        Raises Unavailable when the database, which it had to be read from, is away; to be called again after a pause.
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
                found = self._next_kept()
                if found is not None:
                    return found
                continue
            try:
                async with asyncio.timeout_at(give_up):
                    await moved.wait()
            except TimeoutError:
                return None
        return None

    def _reset(self, end: Cursor) -> Taken:
        self._must_reset, self._resets = False, self._feed.resets
        self.cursor, self._number, self._reading = end, self._feed.end_number, None
        return Taken(end, is_reset=True)

    def _catch_up(self, end: Cursor) -> bool:
        """False when there is nothing to read yet: the feed is in the midst of more than it can keep."""
        feed = self._feed
        if end.events - self.cursor.events > feed.most_behind:
            self._must_reset = True
            return True
        if self._number is not None:
            feed.overflowed()
            self._number = None
        if self.cursor.events < end.events or self.cursor.nodes < end.nodes:
            self._reading, self._until, self._then = feed.between(self.cursor, end), end, feed.end_number
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
            self._number, self._reading = None, None  # begins again at the cursor
            raise
        if chunk is None:
            self._reading, self._number = None, self._then
            self._advance(self._until)
            return None
        self.cursor = chunk.end
        return Taken(chunk.end, chunk.changes)

    def _next_kept(self) -> Taken | None:
        feed = self._feed
        assert self._number is not None
        chunk, before = feed.kept(self._number), self.cursor
        self._number += 1
        self._advance(chunk.end)
        if self._number == feed.end_number and feed.end is not None:
            self._advance(feed.end)
        changes = [change for change in chunk.changes if is_after(change, before)]
        if not changes:
            return None
        return Taken(self.cursor, changes, chunk=chunk if len(changes) == len(chunk.changes) else None)

    def _advance(self, to: Cursor) -> None:
        """Never back: a follower that comes from another gateway may be ahead of this feed."""
        self.cursor = Cursor(to.build, max(self.cursor.events, to.events), max(self.cursor.nodes, to.nodes))
