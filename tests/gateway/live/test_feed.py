"""Followers of the feed get every change, at any pace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry
from sqlalchemy import text

from services.gateway.live.changes import Change, JobChange, JobDeletion, NodeChange, changes_between
from services.gateway.live.feed import Feed, Follower, LiveNumbers
from services.gateway.live.resume import resume_text
from services.gateway.prometheus import LIVE_OVERFLOWS
from shared.database.engine import opened, transaction
from shared.database.progress import Progress, progress_of
from shared.settings import DatabaseSettings
from tests.gateway.live.projected import Projected
from tests.support.fixtures import any_database
from tests.support.waiting import until

database = any_database

QUIET_S = 0.05


class Ground:
    """A database and a feed on it."""

    def __init__(self, feed: Feed, projected: Projected, registry: CollectorRegistry) -> None:
        self.feed = feed
        self.projected = projected
        self._registry = registry

    @asynccontextmanager
    async def following(self, after: str | None = None) -> AsyncIterator["Follower"]:
        with await self.feed.open(after) as follower:
            yield follower

    @property
    def overflows(self) -> float:
        return self._registry.get_sample_value(LIVE_OVERFLOWS.name) or 0.0


@asynccontextmanager
async def ground(database: DatabaseSettings, *, max_buffered: int = 1000, max_behind: int = 1000) -> AsyncIterator[Ground]:
    registry, stop = CollectorRegistry(), asyncio.Event()
    async with opened(database) as writing, opened(database, read_only=True) as reading, asyncio.TaskGroup() as tasks:
        projected = Projected(writing)
        await projected.begin()
        feed = Feed(reading, LiveNumbers(registry), poll_s=0.01, max_buffered=max_buffered, max_behind=max_behind)
        tasks.create_task(feed.run(stop))
        try:
            yield Ground(feed, projected, registry)
        finally:
            stop.set()


def name(change: Change) -> str:
    match change:
        case JobChange():
            return f"job {change.job.id} {change.job.job_state}"
        case JobDeletion():
            return f"deleted {change.id}"
        case NodeChange():
            return f"node {change.node.hostname} {change.node.node_state}"


async def take(follower: Follower, count: int) -> list[str]:
    """The next changes, as names; more than ``count`` is an error, a reset is ``reset``."""
    names: list[str] = []
    while len(names) < count:
        taken = await follower.take(5.0)
        assert taken is not None, f"only {names}"
        names += ["reset"] if taken.is_reset else [name(change) for change in taken.changes]
    assert len(names) == count
    return names


async def test_jobs_deletions_and_nodes_come_in_order(database: DatabaseSettings) -> None:
    async with ground(database) as site, site.following() as follower:
        await site.projected.start(1, 2, 3)
        assert await take(follower, 3) == [f"job {key} completed" for key in (1, 2, 3)]
        await site.projected.remove(2)
        await site.projected.report(["f0001", "f0002"])
        assert await take(follower, 3) == ["deleted 2", "node f0001 idle", "node f0002 idle"]
        assert await follower.take(QUIET_S) is None


async def test_a_follower_starts_with_the_next_change(database: DatabaseSettings) -> None:
    async with ground(database) as site:
        await site.projected.start(1)
        async with site.following() as follower:
            await site.projected.start(2)
            assert await take(follower, 1) == ["job 2 completed"]


async def test_a_resuming_follower_gets_each_changed_row_once_in_its_last_state(database: DatabaseSettings) -> None:
    async with ground(database) as site:
        await site.projected.start(1)
        async with site.following() as first:
            await site.projected.start(2)
            await take(first, 1)
            place = resume_text(first.at)
        await site.projected.start(3, 4)
        await site.projected.change(3, 2, job_state="failed")
        await site.projected.remove(4)
        await site.projected.report(["f0007"])
        async with site.following(place) as again:
            assert await take(again, 4) == ["job 2 failed", "job 3 failed", "deleted 4", "node f0007 idle"]
            await site.projected.start(9)
            assert await take(again, 1) == ["job 9 completed"]


async def test_chunks_lose_nothing_where_many_rows_share_a_sequence(database: DatabaseSettings) -> None:
    """Nor does a reader that stops at any change and resumes from it."""
    async with opened(database) as engine:
        projected = Projected(engine)
        await projected.begin()
        start = await progress_of(engine)
        await projected.start(*range(1, 9))
        await projected.change(2, 3, 5, 7, job_state="failed")
        await projected.remove(4)
        await projected.report(["f0001", "f0002", "f0003"])
        await projected.report(["f0003", "f0004"], "down")
        end = await progress_of(engine)

        async def read(after: Progress, most: int) -> list[Change]:
            return [change async for chunk in changes_between(engine, after, end, most) for change in chunk.changes]

        for most in (1, 2, 3, 7):
            everything = await read(start, most)
            assert [name(change) for change in everything] == [
                *(f"job {key} completed" for key in (1, 6, 8)),
                *(f"job {key} failed" for key in (2, 3, 5, 7)),
                "deleted 4",
                *(f"node f000{n} idle" for n in (1, 2)),
                *(f"node f000{n} down" for n in (3, 4)),
            ]
            for place, change in enumerate(everything):
                rest = [name(later) for later in await read(change.resume, 5)]
                assert [name(later) for later in everything[place + 1 :] if name(later) not in rest] == []
            assert await read(everything[-1].resume, most) == []


async def test_a_follower_that_lags_continues_from_the_database(database: DatabaseSettings) -> None:
    async with ground(database, max_buffered=5) as site, site.following() as quick, site.following() as slow:
        await site.projected.start(100)
        await take(quick, 1)
        await take(slow, 1)
        for key in range(1, 21):
            await site.projected.start(key)
            assert await take(quick, 1) == [f"job {key} completed"]
        assert site.overflows == 0
        assert await take(slow, 20) == [f"job {key} completed" for key in range(1, 21)]
        assert site.overflows == 1
        await site.projected.start(50)
        assert await take(slow, 1) == ["job 50 completed"]


async def test_a_batch_larger_than_the_buffer_reaches_every_follower(database: DatabaseSettings) -> None:
    async with ground(database, max_buffered=3) as site, site.following() as one, site.following() as other:
        await site.projected.start(*range(1, 11))
        for follower in (one, other):
            assert await take(follower, 10) == [f"job {key} completed" for key in range(1, 11)]


async def test_a_lower_position_or_another_log_resets_followers(database: DatabaseSettings) -> None:
    async with ground(database) as site, site.following() as follower:
        await site.projected.start(1, 2, 3)
        await take(follower, 3)
        await site.projected.go_back(1)
        assert await take(follower, 1) == ["reset"]
        assert follower.at.events == 1
        await site.projected.begin("2027-01-01T00:00:00Z")
        assert await take(follower, 1) == ["reset"]
        await site.projected.start(7)
        assert await take(follower, 1) == ["job 7 completed"]


UNKNOWN_PLACES = ["", "x", "1-2", "99-0-{build}", "0-0-f00d", "1-0-{build}'; DROP TABLE job", "9" * 40 + "-0-{build}"]


async def test_an_unknown_cursor_is_a_reset(sqlite_database: DatabaseSettings) -> None:
    async with ground(sqlite_database) as site:
        await site.projected.start(1)
        async with site.following() as probe:
            build = resume_text(probe.at).rpartition("-")[2]
        for number, place in enumerate(UNKNOWN_PLACES):
            async with site.following(place.format(build=build)) as follower:
                assert await take(follower, 1) == ["reset"], place
                await site.projected.start(10 + number)
                assert await take(follower, 1) == [f"job {10 + number} completed"]


async def test_a_cursor_too_far_back_is_a_reset(sqlite_database: DatabaseSettings) -> None:
    async with ground(sqlite_database, max_behind=10) as site, site.following() as probe:
        place = resume_text(probe.at)
        await site.projected.start(*range(1, 11))
        async with site.following(place) as follower:
            assert len(await take(follower, 10)) == 10
        await site.projected.start(11)
        await take(probe, 11)
        async with site.following(place) as follower:
            assert await take(follower, 1) == ["reset"]


async def test_a_cursor_ahead_of_this_feed_does_not_reset(sqlite_database: DatabaseSettings) -> None:
    """Another gateway may have read the database later than this one did."""
    async with ground(sqlite_database) as site, site.following() as waiting:
        await site.projected.start(1)
        await take(waiting, 1)
        await site.projected.start(2)
        place = resume_text(replace(waiting.at, events=site.projected.events))
        async with site.following(place) as follower:
            await site.projected.start(3)
            assert await take(follower, 1) == ["job 3 completed"]


async def test_the_feed_does_not_poll_without_followers(sqlite_database: DatabaseSettings) -> None:
    async with ground(sqlite_database) as site:
        async with site.following() as follower:
            await until(lambda: site.feed.end is not None)
            assert follower.at == site.feed.end
        await until(lambda: site.feed.end is None)


async def test_followers_miss_nothing_during_an_outage_of_the_database(sqlite_database: DatabaseSettings) -> None:
    async with ground(sqlite_database) as site, site.following() as follower:
        await site.projected.start(1)
        await take(follower, 1)
        async with opened(sqlite_database) as other:
            async with transaction(other) as connection:
                await connection.execute(text("ALTER TABLE position RENAME TO away"))
            async with transaction(other) as connection:
                await connection.execute(text("ALTER TABLE away RENAME TO position"))
        await site.projected.start(2)
        assert await take(follower, 1) == ["job 2 completed"]


async def test_followers_end_with_the_feed(sqlite_database: DatabaseSettings) -> None:
    async with ground(sqlite_database) as site, site.following() as follower:
        taking = asyncio.ensure_future(follower.take(30.0))
        await until(lambda: site.feed.end is not None)
    assert await taking is None
    assert site.feed.closed.is_set()
