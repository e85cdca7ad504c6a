"""The database from outside, with little work for it: no pool, no SQLAlchemy."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy.engine import make_url

from shared.settings import DatabaseSettings


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
        return [tuple(row) for row in await self._connection.fetch(statement, timeout=120)]


@asynccontextmanager
async def reading(settings: DatabaseSettings) -> AsyncIterator[Reader]:
    """A connection for one block."""
    url = make_url(settings.url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        connection = sqlite3.connect(url.database, timeout=30, isolation_level=None)
        connection.execute("PRAGMA query_only=ON")
        try:
            yield _Sqlite(connection)
        finally:
            connection.close()
        return
    server = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), timeout=10)
    try:
        yield _Postgres(server)
    finally:
        await server.close(timeout=5)


async def execute(settings: DatabaseSettings, statement: str) -> None:
    """One statement, committed."""
    url = make_url(settings.url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        connection = sqlite3.connect(url.database, timeout=30, isolation_level=None)
        try:
            connection.execute(statement)
        finally:
            connection.close()
        return
    server = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), timeout=10)
    try:
        await server.execute(statement, timeout=120)
    finally:
        await server.close(timeout=5)
