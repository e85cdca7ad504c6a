"""The database server of a run, and fresh databases on both engines."""

import asyncio
import itertools
from pathlib import Path
from typing import Literal

import asyncpg
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from shared.settings import DatabaseSettings
from tests.support.postgres import PostgresServer

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")


class Databases:
    """PostgreSQL is started when it is first asked for, with its own defaults: flushes to disk are on."""

    def __init__(self) -> None:
        self._server: PostgresServer | None = None
        self._numbers = itertools.count(1)

    async def empty(self, engine: Engine, folder: Path) -> DatabaseSettings:
        """A database without any table."""
        if engine == "sqlite":
            return DatabaseSettings(url=SecretStr(f"sqlite:///{folder / 'jobtide.db'}"))
        if self._server is None:
            self._server = PostgresServer(options={"shared_buffers": "256MB", "max_wal_size": "1GB"})
            await asyncio.to_thread(self._server.start)
        name = f"bench{next(self._numbers)}"
        await self._execute(f"CREATE DATABASE {name}")
        url = make_url(self._server.url).set(database=name).render_as_string(hide_password=False)
        return DatabaseSettings(url=SecretStr(url))

    @property
    def postgres_pid(self) -> int | None:
        """The processes of the server, if it runs."""
        return None if self._server is None else self._server.pid

    async def drop(self, settings: DatabaseSettings) -> None:
        url = make_url(settings.url.get_secret_value())
        if url.get_backend_name() == "postgresql":
            await self._execute(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        assert self._server is not None
        connection = await asyncpg.connect(self._server.url, timeout=10)
        try:
            await connection.execute(statement, timeout=60)
        finally:
            await connection.close(timeout=5)

    def close(self) -> None:
        if self._server is not None:
            self._server.remove()
