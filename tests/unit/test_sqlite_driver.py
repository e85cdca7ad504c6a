"""Statements of SQLite take one step each; nothing else differs from the driver below."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.engine import opened, transaction
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


async def names(connection: AsyncConnection) -> list[str]:
    return list(await connection.scalars(text("SELECT name FROM thing ORDER BY id")))


async def test_what_a_statement_did_is_known(engine: AsyncEngine) -> None:
    await add(engine, "a", "b", "c")
    async with transaction(engine) as connection:
        changed = await connection.execute(text("UPDATE thing SET name = name || '!' WHERE id > 1"))
        assert changed.rowcount == 2
        added = await connection.execute(text("INSERT INTO thing (name) VALUES ('d') RETURNING id"))
        assert added.all() == [(4,)]
        assert (await connection.execute(text("SELECT id AS number, name FROM thing WHERE id = 2"))).mappings().one() == {
            "number": 2,
            "name": "b!",
        }


async def test_what_failed_is_rolled_back_and_the_connection_goes_on(engine: AsyncEngine) -> None:
    await add(engine, "a")
    with pytest.raises(IntegrityError):
        await add(engine, "b", "a")
    async with transaction(engine) as connection:
        assert await names(connection) == ["a"]


async def test_a_transaction_sees_one_state(engine: AsyncEngine, reading: AsyncEngine) -> None:
    await add(engine, "a")
    async with transaction(reading) as connection:
        assert await names(connection) == ["a"]
        await add(engine, "b")
        assert await names(connection) == ["a"]
    async with transaction(reading) as connection:
        assert await names(connection) == ["a", "b"]


async def test_a_transaction_without_a_statement_leaves_nothing_open(engine: AsyncEngine, reading: AsyncEngine) -> None:
    async with transaction(reading):
        pass
    await add(engine, "a")
    async with transaction(reading) as connection:
        assert await names(connection) == ["a"]


async def test_rows_may_be_streamed_inside_a_transaction(engine: AsyncEngine, reading: AsyncEngine) -> None:
    await add(engine, "a", "b")
    async with transaction(reading) as connection:
        streamed = await connection.stream(text("SELECT name FROM thing ORDER BY id"))
        first = await anext(streamed)
        await add(engine, "c")
        assert [first, *[row async for row in streamed]] == [("a",), ("b",)]
        assert await names(connection) == ["a", "b"]


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
        assert await names(connection) == ["a"]
