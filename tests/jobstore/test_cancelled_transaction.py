"""A task that is cancelled inside a transaction releases the database, even while its traceback is still referenced."""

import asyncio
import sqlite3

import pytest
from sqlalchemy import text

from shared.database.engine import opened, transaction
from shared.settings import DatabaseSettings
from tests.support.databases import query

LONG = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) SELECT count(*) FROM n"
WRITE = "INSERT INTO tag (id, tag_type, tag_name, tag_scope) VALUES (1, 't', 'n', 'global')"


async def test_a_cancelled_task_releases_the_database(any_database: DatabaseSettings) -> None:
    has_written = asyncio.Event()

    async def work() -> None:
        async with opened(any_database) as engine, transaction(engine) as connection:
            await connection.execute(text(WRITE))
            has_written.set()
            await connection.execute(text(LONG))

    task = asyncio.create_task(work())
    await has_written.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    impatient = any_database.model_copy(update={"timeout_s": 8.0})
    async with opened(impatient) as engine, transaction(engine) as connection:
        await connection.execute(text(WRITE))
    assert await query(any_database, "SELECT count(*) FROM tag") == [(1,)]


async def test_a_task_cancelled_while_waiting_for_the_lock_releases_the_file(sqlite_database: DatabaseSettings) -> None:
    """The driver's thread continues to wait for the lock after the task has ended, and may get it."""
    path = sqlite_database.url.get_secret_value().removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with opened(sqlite_database) as engine:
        async with engine.connect():
            pass  # there is a connection in the pool

        async def work() -> None:
            async with transaction(engine):
                pass

        task = asyncio.create_task(work())
        for _ in range(50):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await task
        other.execute("PRAGMA busy_timeout=8000")
        other.execute("BEGIN IMMEDIATE")
        other.close()
