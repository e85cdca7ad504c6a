"""Reading from SQLite: whole transactions in threads, which are interrupted when no longer wanted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import sqlite_readers
from shared.database.engine import away_as_unavailable, opened, read, transaction
from shared.errors import Unavailable
from shared.settings import DatabaseSettings


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    settings = DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/some.db", "pool_size": 1})
    async with opened(settings) as engine:
        async with transaction(engine) as connection:
            await connection.execute(text("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
        yield engine


@pytest.fixture
async def reading(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    settings = DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/some.db", "pool_size": 1})
    async with opened(settings, read_only=True) as reader:
        yield reader


async def add(engine: AsyncEngine, *names: str) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("INSERT INTO thing (name) VALUES (:name)"), [{"name": name} for name in names])


def names(connection: Connection) -> list[str]:
    return list(connection.scalars(text("SELECT name FROM thing ORDER BY id")))


def endless(connection: Connection) -> None:
    connection.execute(text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"))


async def test_a_read_sees_one_state(engine: AsyncEngine, reading: AsyncEngine) -> None:
    await add(engine, "a")
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = names(connection)
        asyncio.run_coroutine_threadsafe(add(engine, "b"), loop).result(10)
        return before, names(connection)

    assert await read(reading, twice) == (["a"], ["a"])
    assert await read(reading, names) == ["a", "b"]


async def test_nothing_can_be_written(engine: AsyncEngine, reading: AsyncEngine) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await read(reading, lambda connection: connection.execute(text("INSERT INTO thing (name) VALUES ('a')")))
    assert await read(reading, names) == []


async def test_an_error_leaves_no_open_transaction(engine: AsyncEngine, reading: AsyncEngine) -> None:
    def fail(connection: Connection) -> None:
        names(connection)
        raise KeyError("thing")

    with pytest.raises(KeyError):
        await read(reading, fail)
    await add(engine, "a")
    assert await read(reading, names) == ["a"]


async def test_the_statement_of_a_cancelled_read_is_interrupted(reading: AsyncEngine) -> None:
    waiting = asyncio.create_task(read(reading, endless))
    loop, longest_s, began = asyncio.get_running_loop(), 0.0, 0.0
    for number in range(200):
        began = loop.time()
        await asyncio.sleep(0.001)
        longest_s = max(longest_s, loop.time() - began)
        if number == 100:
            waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.wait_for(read(reading, names), 20) == []  # uses the only connection
    assert longest_s < 1.0


@pytest.fixture
async def readers(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    settings = DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/some.db", "pool_size": 3})
    async with opened(settings, read_only=True) as engine:
        yield engine


async def test_quick_reads_run_one_after_the_other(readers: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_readers, "_SLOW_AFTER_S", 60.0)
    inside: list[int] = []
    most = 0

    def work(connection: Connection) -> None:
        nonlocal most
        inside.append(1)
        most = max(most, len(inside))
        connection.execute(text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i FROM n")).all()
        inside.pop()

    await asyncio.wait_for(asyncio.gather(*(read(readers, work) for _ in range(20))), 20)
    assert most == 1


async def test_a_slow_read_delays_quick_ones_only_briefly(readers: AsyncEngine) -> None:
    slow = [asyncio.create_task(read(readers, endless)) for _ in range(2)]
    for _ in range(3):
        assert await asyncio.wait_for(read(readers, names), 20) == []
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert await asyncio.wait_for(read(readers, names), 20) == []


async def test_a_read_has_a_deadline(tmp_path: Path, engine: AsyncEngine) -> None:
    settings = DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/some.db", "pool_size": 1, "timeout_s": 0.2})
    async with opened(settings, read_only=True) as impatient:
        with pytest.raises(Unavailable, match="no answer within"):
            await read(impatient, endless)
        assert await read(impatient, names) == []


async def test_reads_after_the_engine_was_disposed_of_are_refused(reading: AsyncEngine) -> None:
    late = [asyncio.create_task(read(reading, endless)), asyncio.create_task(read(reading, names))]
    for _ in range(5):
        await asyncio.sleep(0)
    await reading.dispose()
    for task in late:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(task, 20)
    with pytest.raises(Unavailable):
        await read(reading, names)


def test_a_timeout_without_a_message_is_unavailable_too() -> None:
    with pytest.raises(Unavailable, match=r"database: TimeoutError$"), away_as_unavailable():
        raise TimeoutError


async def test_a_missing_database_is_unavailable(postgres_database: DatabaseSettings) -> None:
    url = make_url(postgres_database.url.get_secret_value()).set(database="no_such_thing").render_as_string(hide_password=False)
    async with opened(DatabaseSettings.model_validate({"url": url}), read_only=True) as engine:
        with pytest.raises(Unavailable, match="no_such_thing"):
            await read(engine, names)


async def test_a_cancelled_statement_leaves_no_transaction_open(engine: AsyncEngine) -> None:
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) INSERT INTO thing (name) SELECT 'x' || i FROM n"

    async def write() -> None:
        async with transaction(engine) as connection:
            await connection.execute(text(slow))

    writing = asyncio.create_task(write())
    for _ in range(20):
        await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await asyncio.wait_for(add(engine, "a"), 20)
    async with transaction(engine) as connection:
        assert await connection.run_sync(names) == ["a"]
