"""Every change to jobs is visible in the next query."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import duckdb
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Executable, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from services.gateway.people.identity import User
from services.gateway.reading.columns import ColumnNumbers, Columns
from services.gateway.reading.columns import store as store_module
from services.gateway.reading.columns.follow import Copy, Follower
from services.gateway.reading.columns.store import ColumnStore
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.model import JobFilter, MetricRange, Order, Range, Slice, TextMatch
from services.gateway.reading.routing import ColumnsAway, Steps
from services.gateway.reading.source import Source
from shared.database.engine import opened, read, transaction
from shared.database.tables import tables
from shared.errors import Unavailable
from shared.settings import DatabaseSettings
from tests.gateway.reading.columns.places import loaded, until_loaded
from tests.gateway.rows import job_row, write
from tests.support.databases import PostgresTemplate, settings_of
from tests.support.fixtures import any_database
from tests.support.waiting import until

database = any_database

ROOT = User("root", frozenset({"admin"}))
job = tables.job.c


class Site:
    """A database, its columns, and changes as jobstore would make them."""

    def __init__(self, writing: AsyncEngine, reading: AsyncEngine, columns: Columns) -> None:
        self._writing = writing
        self.reading = reading
        self.columns = columns
        self.queries = JobQueries(reading, 100, lambda: 0.0, columns)
        self.sequence = 100

    async def change(self, *statements: Executable, build: int = 0, sequence: int | None = None) -> None:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        position = update(tables.position).values(sequence=self.sequence, build=build)
        async with transaction(self._writing) as connection:
            for statement in (*statements, position):
                await connection.execute(statement)

    async def edit(self, key: int, **columns: Any) -> None:
        await self.change(update(tables.job).where(job.id == key).values(changed_seq=self.sequence + 1, **columns))

    async def ids(self, **criteria: Any) -> list[int]:
        """Ids from the columns, since no index has this order."""
        return await self.queries.select(ROOT, [JobFilter(**criteria)], Order("duration"), Slice())

    async def columns_ids(self) -> set[int]:
        """Fails where the columns cannot answer."""

        def question(source: Source) -> Steps[set[int]]:
            rows = yield select(source.job.c.id)
            return {key for (key,) in rows}

        return await self.columns.ask(question)


@pytest.fixture
async def site(database: DatabaseSettings) -> AsyncIterator[Site]:
    await write(database, "job", [job_row(key, duration=key, changed_seq=key) for key in (1, 2, 3)])
    await write(database, "tag", [{"id": 1, "tag_type": "t", "tag_name": "n", "tag_scope": "global"}])
    await write(database, "position", [{"stream": "EVENTS", "sequence": 100, "stream_created": "x", "event_time": 0.0}])
    async with opened(database) as writing, opened(database, read_only=True) as reading, loaded(reading) as columns:
        yield Site(writing, reading, columns)


async def test_the_next_query_sees_each_change(site: Site) -> None:
    started = job_row(101, job_state="running", duration=0, job_name="Lbm", hosts=" f01 f02 ", changed_seq=101)
    await site.change(insert(tables.job).values(started))
    assert await site.ids(node=TextMatch("eq", ("f02",))) == [101]
    assert await site.ids(job_name=TextMatch("contains", ("lb",))) == [101]

    await site.edit(101, job_state="completed", duration=9, footprint=json.dumps({"new_key_avg": 4.5}))
    assert await site.ids(states=("completed",)) == [101, 3, 2, 1]
    assert await site.ids(metric_stats=(MetricRange("new_key_avg", Range(4.5, 4.5)),)) == [101]

    await site.edit(101, job_name="other")
    assert await site.ids(job_name=TextMatch("eq", ("other",))) == [101]
    assert await site.ids(job_name=TextMatch("eq", ("Lbm",))) == []

    new_tag = insert(tables.tag).values(id=50, tag_type="t", tag_name="m", tag_scope="global")
    tagged = update(tables.job).where(job.id.in_([2, 3])).values(changed_seq=104)
    await site.change(new_tag, insert(tables.jobtag).values([{"job_id": 2, "tag_id": 50}, {"job_id": 3, "tag_id": 50}]), tagged)
    assert await site.ids(tags=(50,)) == [3, 2]

    await site.change(
        delete(tables.jobtag).where(tables.jobtag.c.job_id == 2), update(tables.job).where(job.id == 2).values(changed_seq=105)
    )
    assert await site.ids(tags=(50,)) == [3]

    gone = insert(tables.job_deletion).values(seq=106, job=3, cluster="fritz", hpc_user="ulla", project="phys-a")
    await site.change(delete(tables.jobtag).where(tables.jobtag.c.job_id == 3), delete(tables.job).where(job.id == 3), gone)
    assert await site.ids(tags=(50,)) == []
    assert await site.columns_ids() == {1, 2, 101}


async def test_after_a_rebuild_the_database_answers_until_the_columns_are_loaded_again(site: Site) -> None:
    await site.change(update(tables.job).where(job.id == 2).values(duration=77), build=1)
    assert await site.ids() == [2, 3, 1]
    await until_loaded(site.columns)
    assert await site.ids(duration=Range(77, 77)) == [2]
    assert await site.columns_ids() == {1, 2, 3}


async def test_after_an_older_backup_the_database_answers_until_the_columns_are_loaded_again(site: Site) -> None:
    assert await site.columns_ids() == {1, 2, 3}
    await site.change(delete(tables.job).where(job.id == 3), sequence=60)
    assert await site.ids() == [2, 1]
    await until_loaded(site.columns)
    assert await site.columns_ids() == {1, 2}


async def test_changes_beyond_one_chunk_are_all_applied(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when many of them have the same sequence."""
    monkeypatch.setattr("services.gateway.reading.columns.follow.CHUNK_ROWS", 7)
    rows = [job_row(key, duration=key, changed_seq=101 + key // 90) for key in range(10, 110)]
    tags = [{"job_id": key, "tag_id": 1} for key in range(10, 110)]
    await site.change(insert(tables.job).values(rows), insert(tables.jobtag).values(tags), sequence=103)
    assert len(await site.queries.select(ROOT, [JobFilter(tags=(1,))], Order("duration"), Slice(None))) == 100
    assert len(await site.columns_ids()) == 103


async def test_a_change_that_failed_to_apply_is_applied_for_the_next_query(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So are its new tags."""
    with monkeypatch.context() as patch:

        def no_room(*_: Any) -> None:
            raise duckdb.OutOfMemoryException("no room")

        patch.setattr(ColumnStore, "write", no_room)
        new_tag = insert(tables.tag).values(id=50, tag_type="t", tag_name="m", tag_scope="global")
        tagged = insert(tables.jobtag).values(job_id=2, tag_id=50), update(tables.job).where(job.id == 2).values(changed_seq=101)
        await site.change(new_tag, *tagged)
        with pytest.raises(ColumnsAway):
            await site.columns_ids()
    assert await site.columns_ids() == {1, 2, 3}
    assert await site.ids(tags=(50,)) == [2]


async def test_a_copy_can_be_dropped_while_it_is_written(sqlite_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller has been cancelled, but the thread is still running."""
    is_at_work, may_end, really_write = threading.Event(), threading.Event(), ColumnStore.write

    def wait(number: int) -> int:
        is_at_work.set()
        may_end.wait(20)
        return number

    def slowly(store: ColumnStore, work: Any) -> None:
        store._connection.create_function("wait", wait, ["BIGINT"], "BIGINT")
        store._connection.execute("SELECT wait(1)")
        really_write(store, work)

    monkeypatch.setattr(ColumnStore, "write", slowly)
    async with opened(sqlite_database, read_only=True) as reading:
        columns = Columns(reading, ColumnNumbers(CollectorRegistry()), memory_mb=256, threads=1, timeout_s=5.0)
        running = asyncio.ensure_future(columns.run(asyncio.Event()))
        try:
            await asyncio.to_thread(is_at_work.wait, 20)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(running, 30)
        finally:
            may_end.set()


@pytest.fixture
def keeps_up_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Request this before ``site``, whose columns start waiting at once."""
    monkeypatch.setattr("services.gateway.reading.columns.access.KEEP_UP_S", 0.01)


async def test_a_copy_survives_a_short_outage_of_the_database(keeps_up_often: None, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0

    async def fails(follower: Follower, copy: Copy) -> None:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise Unavailable("database: away")
        await catch_up(follower, copy)

    async def has_failed() -> bool:
        return failures > 2

    catch_up, copy = Follower.catch_up, site.columns._copy
    monkeypatch.setattr(Follower, "catch_up", fails)
    await until(has_failed, 20)
    assert await site.columns_ids() == {1, 2, 3}
    assert site.columns._copy is copy


async def test_loading_waits_for_tables_that_do_not_exist_yet(postgres_template: PostgresTemplate) -> None:
    async with opened(settings_of(postgres_template.url_of("postgres")), read_only=True) as reading:
        stop = asyncio.Event()
        columns = Columns(reading, ColumnNumbers(CollectorRegistry()), memory_mb=64, threads=1, timeout_s=5.0)
        with capture_logs() as logged:
            running = asyncio.ensure_future(columns.run(stop))

            async def waits() -> bool:
                return any(line["event"] == "columns_wait" for line in logged)

            await until(waits, 20)
        stop.set()
        await running


async def test_concurrent_queries_share_one_catch_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await read(*arguments)

    monkeypatch.setattr("services.gateway.reading.columns.follow.read", counted)
    await asyncio.gather(*(site.columns_ids() for _ in range(30)))
    assert 1 <= asked <= 3


async def test_the_database_answers_while_the_columns_lag(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns catch up in the background."""
    monkeypatch.setattr("services.gateway.reading.columns.access.CATCH_UP_S", 0.0)
    rows = [job_row(key, duration=key, changed_seq=101) for key in range(10, 20)]
    await site.change(insert(tables.job).values(rows))
    assert len(await site.ids()) == 13
    with pytest.raises(ColumnsAway):
        await site.columns_ids()
    monkeypatch.undo()
    assert len(await site.columns_ids()) == 13


async def test_a_query_past_its_deadline_is_interrupted(sqlite_database: DatabaseSettings) -> None:
    await write(sqlite_database, "job", [job_row(key) for key in range(1, 3001)])
    async with opened(sqlite_database, read_only=True) as reading, loaded(reading, timeout_s=0.5, threads=1) as columns:

        def endless(source: Source) -> Steps[int]:
            one, other, third = source.job, source.job.alias(), source.job.alias()
            ((number,),) = yield select(func.count()).where(one.c.id + other.c.id * third.c.id != 0)
            return int(number)

        def short(source: Source) -> Steps[int]:
            ((number,),) = yield select(func.count()).select_from(source.job)
            return int(number)

        with pytest.raises(Unavailable, match="no answer within"):
            await columns.ask(endless)
        assert await columns.ask(short) == 3000  # the only thread is free again


async def test_the_database_answers_when_the_jobs_do_not_fit_in_memory(sqlite_database: DatabaseSettings) -> None:
    await write(sqlite_database, "job", [job_row(key, job_name=f"{key}" * 2000) for key in range(1, 3001)])
    async with opened(sqlite_database, read_only=True) as reading:
        stop = asyncio.Event()
        columns = Columns(reading, ColumnNumbers(CollectorRegistry()), memory_mb=3, threads=1, timeout_s=5.0)
        with capture_logs() as logged:
            running = asyncio.ensure_future(columns.run(stop))

            async def is_given_up() -> bool:
                return any(line["event"] == "columns_not_loaded" for line in logged)

            await until(is_given_up, 20)
        assert await JobQueries(reading, 100, columns=columns).count(ROOT, [JobFilter(duration=Range(1))]) == 3000
        stop.set()
        await running


def test_space_of_replaced_rows_is_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CHECKPOINT_ROWS", 3000)
    store = ColumnStore(memory_mb=256, threads=1)
    line = '{key},1,"c","s",0,1,"user{key}","p",\\N,\\N,1,1,"failed",1,\\N,\\N,0,"none",1,1.5,0,"name {key}"," f{key} ",\\N'
    text = "\n".join(line.format(key=key) for key in range(1000))

    def stored_rows() -> int:
        """Including deleted rows whose space is not yet reclaimed."""
        found = store._connection.execute("SELECT estimated_size FROM duckdb_tables() WHERE table_name = 'job'").fetchone()
        assert found is not None
        return int(found[0])

    most = 0
    for _ in range(30):
        store.write([lambda change: change.add_jobs(text)])
        most = max(most, stored_rows())
    assert store.rows == 1000
    assert most < 8000
    store.close()
