"""The database from outside, with little work for it: no pool, no SQLAlchemy."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncmy
import asyncpg
from sqlalchemy.engine import URL, make_url

from shared.settings import DatabaseSettings

_STATEMENT_S = 120.0


class Reader(Protocol):
    async def rows(self, statement: str) -> list[tuple[Any, ...]]: ...


class _Sqlite:
    """Queries of the benchmark take microseconds, or nothing else is measured meanwhile: they run in the loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(statement, timeout=_STATEMENT_S)]


class _MariaDb:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement)
            return list(await cursor.fetchall())


def address(settings: DatabaseSettings) -> tuple[str, URL]:
    """The engine, by the name that rows have for it, and the URL."""
    url = make_url(settings.url.get_secret_value())
    name = url.get_backend_name()
    return "mariadb" if name == "mysql" else name, url


@asynccontextmanager
async def reading(settings: DatabaseSettings) -> AsyncIterator[Reader]:
    """A connection for one block. Each statement sees what was committed before it."""
    engine, url = address(settings)
    if engine == "sqlite":
        assert url.database is not None
        connection = sqlite3.connect(url.database, timeout=30, isolation_level=None)
        connection.execute("PRAGMA query_only=ON")
        try:
            yield _Sqlite(connection)
        finally:
            connection.close()
    elif engine == "mariadb":
        async with mariadb(url, autocommit=True) as server:
            yield _MariaDb(server)
    else:
        async with postgres(url) as server:
            yield _Postgres(server)


@asynccontextmanager
async def postgres(url: URL) -> AsyncIterator[Any]:
    server = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), timeout=10)
    try:
        yield server
    finally:
        await server.close(timeout=5)


@asynccontextmanager
async def mariadb(url: URL, *, autocommit: bool = False, timeout_s: float = _STATEMENT_S) -> AsyncIterator[Any]:
    server = await asyncmy.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        database=url.database,
        connect_timeout=10,
        read_timeout=timeout_s,
        autocommit=autocommit,
        charset="utf8mb4",
    )
    try:
        yield server
    finally:
        await server.ensure_closed()


async def execute(settings: DatabaseSettings, statement: str) -> None:
    """One statement, committed."""
    engine, url = address(settings)
    if engine == "sqlite":
        assert url.database is not None
        connection = sqlite3.connect(url.database, timeout=30, isolation_level=None)
        try:
            connection.execute(statement)
        finally:
            connection.close()
    elif engine == "mariadb":
        async with mariadb(url, autocommit=True) as server:
            await server.query(statement)
    else:
        async with postgres(url) as server:
            await server.execute(statement, timeout=_STATEMENT_S)
