"""Work in the thread of aiosqlite, over the connection of a transaction that its owner has begun and will end."""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import StaticPool

from shared.errors import Unavailable

T = TypeVar("T")
_BORROWING = "borrowing"  # key of the engine that a pooled connection keeps for its whole life


async def run_in_thread(connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
    """See ``shared.database.engine.run``. aiosqlite runs one function after the other, so a rollback of the owner waits for ``work``."""
    pooled = await connection.get_raw_connection()
    driver: Any = pooled.driver_connection

    def in_thread() -> T:
        engine: Engine | None = pooled.info.get(_BORROWING)
        if engine is None:
            engine = pooled.info[_BORROWING] = _borrowing_engine(driver._conn)
        with engine.connect() as borrowed:
            try:
                return work(borrowed)
            except StopIteration as e:  # no future can have it as its outcome
                raise RuntimeError("a StopIteration left the work") from e

    if not driver._running or driver._connection is None:
        raise Unavailable("database: the connection has been closed")
    result: T = await driver._execute(in_thread)
    return result


def _borrowing_engine(driver: sqlite3.Connection) -> Engine:
    """An engine whose only connection is ``driver``."""
    dialect = _BorrowingDialect(dbapi=sqlite3)
    only: Any = driver
    return Engine(StaticPool(lambda: only, dialect=dialect, reset_on_return=None), dialect, make_url("sqlite://"))


class _BorrowingDialect(SQLiteDialect_pysqlite):
    """Begins, ends and closes nothing."""

    supports_statement_cache = True

    def do_begin(self, *_: Any) -> None: ...

    def do_commit(self, *_: Any) -> None: ...

    def do_rollback(self, *_: Any) -> None: ...

    def do_close(self, *_: Any) -> None: ...
