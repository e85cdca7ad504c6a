"""The numbers of rejections by code, read once for everybody who follows them."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.live.feed import Feed
from shared.backoff import Backoff, first_of, sleep_unless
from shared.database.engine import read
from shared.database.progress import Progress
from shared.database.tables import tables
from shared.errors import Unavailable

log = structlog.get_logger()

PAUSE_S = 1.0


class RefusedCounts:
    """``version`` grows when ``counts`` change; they are None until they were read for the present watchers.

    Rejections leave the list as well, after a replay or when they expire, so their numbers are followed instead of single ones.
    """

    def __init__(self, engine: AsyncEngine, feed: Feed, *, pause_s: float = PAUSE_S) -> None:
        self._engine = engine
        self._feed = feed
        self._pause_s = pause_s
        self._watchers = 0
        self._wanted = asyncio.Event()
        self._at: Progress | None = None  # the progress for which the counts were read
        self.counts: Mapping[str, int] | None = None
        self.version = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The counts are read while this is open. The caller also follows the feed."""
        self._watchers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._watchers -= 1

    async def run(self, stop: asyncio.Event) -> None:
        pause = Backoff(first_s=self._pause_s)
        while not stop.is_set():
            if not self._watchers:
                self._wanted.clear()
                self.counts = self._at = None
                await first_of(stop, self._wanted)
                continue
            try:
                await self._read()
            except Unavailable as e:
                log.warning("rejections_not_counted", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            await sleep_unless(stop, self._pause_s)

    async def _read(self) -> None:
        reached = self._feed.end
        if reached is None or reached == self._at:
            return
        code = tables.rejection.c.code

        def work(connection: Connection) -> dict[str, int]:
            return {row[0]: row[1] for row in connection.execute(select(code, func.count()).group_by(code).order_by(code))}

        counts = await read(self._engine, work)
        self._at = reached
        if counts != self.counts:
            self.counts = counts
            self.version += 1
