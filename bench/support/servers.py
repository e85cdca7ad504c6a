"""The database servers of a run, and fresh databases on all engines."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from bench.support.database import address, execute
from shared.settings import DatabaseSettings
from tests.support.debian import MARIADB, installed
from tests.support.mariadb import MariaDbServer
from tests.support.postgres import PostgresServer
from tests.support.programs import MissingPart

Engine = Literal["sqlite", "postgresql", "mariadb"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")  # those that come with the virtual environment


class _Server(Protocol):
    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def start(self) -> None: ...

    def remove(self) -> None: ...


# What a commit flushes is alike: jobstore turns synchronous_commit off, which is a setting of the server in MariaDB.
_SERVERS: Mapping[str, Callable[[], _Server]] = {
    "postgresql": lambda: PostgresServer(options={"shared_buffers": "256MB", "max_wal_size": "1GB"}),
    "mariadb": lambda: MariaDbServer(
        options={"innodb-buffer-pool-size": "256M", "innodb-log-file-size": "1G", "innodb-flush-log-at-trx-commit": "2"}
    ),
}


class Databases:
    """A server is started when it is first asked for, with its own defaults: flushes to disk are on."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}
        self._numbers = itertools.count(1)

    @staticmethod
    def lack(engine: Engine) -> str | None:
        """One line that names the missing part, or None if the engine can run."""
        try:
            if engine == "mariadb":
                installed(MARIADB)
        except MissingPart as e:
            return str(e)
        return None

    async def empty(self, engine: Engine, folder: Path) -> DatabaseSettings:
        """A database without any table."""
        if engine == "sqlite":
            return DatabaseSettings(url=SecretStr(f"sqlite:///{folder / 'jobtide.db'}"))
        if engine not in self._servers:
            server = await asyncio.to_thread(_SERVERS[engine])
            self._servers[engine] = server
            await asyncio.to_thread(server.start)
        name = f"bench{next(self._numbers)}"
        await execute(self._of_server(engine), f"CREATE DATABASE {name}")
        return _at(self._servers[engine].url, name)

    def pid(self, engine: Engine) -> int | None:
        """The main process of its server, if there is one."""
        return self._servers[engine].pid if engine in self._servers else None

    async def drop(self, settings: DatabaseSettings) -> None:
        engine, url = address(settings)
        if engine != "sqlite":
            force = " WITH (FORCE)" if engine == "postgresql" else ""
            await execute(self._of_server(engine), f"DROP DATABASE IF EXISTS {url.database}{force}")

    def _of_server(self, engine: str) -> DatabaseSettings:
        """The database that every server has."""
        return _at(self._servers[engine].url, "mysql" if engine == "mariadb" else "postgres")

    def close(self) -> None:
        for server in self._servers.values():
            server.remove()


def _at(server_url: str, name: str) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(make_url(server_url).set(database=name).render_as_string(hide_password=False)))
