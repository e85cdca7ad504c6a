"""A fresh migrated database for each test, and its content."""

import os
import shutil
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from shared.database.engine import opened
from shared.database.migrate import migrate_blocking
from shared.database.tables import ProjectionTables, tables
from shared.settings import DatabaseSettings
from tests.support.programs import run_blocking

Dump = dict[str, list[tuple[Any, ...]]]


def settings_of(url: str) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url))


class SqliteTemplate:
    """A migrated file that is copied for each test."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        run_blocking(_migrated(settings_of(f"sqlite:///{self._file}")))

    def fresh(self, folder: Path) -> DatabaseSettings:
        copy = folder / "jobtide.db"
        shutil.copyfile(self._file, copy)
        return settings_of(f"sqlite:///{copy}")


async def _migrated(settings: DatabaseSettings) -> None:
    import asyncio

    await asyncio.to_thread(migrate_blocking, settings)
    async with opened(settings) as engine, engine.connect() as connection:
        if connection.dialect.name == "sqlite":  # write everything to the file that is copied
            await connection.exec_driver_sql("COMMIT")
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


class PostgresTemplate:
    """A migrated database that is copied for each test, on a server that may be shared."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._name = f"jobtide_template_{os.urandom(5).hex()}"
        self._execute(f"CREATE DATABASE {self._name}")
        migrate_in_thread = settings_of(self.url_of(self._name))
        run_blocking(_migrated(migrate_in_thread))

    def url_of(self, name: str) -> str:
        return make_url(self._server_url).set(database=name).render_as_string(hide_password=False)

    def fresh(self) -> DatabaseSettings:
        name = f"jobtide_test_{os.urandom(5).hex()}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._name}")
        return settings_of(self.url_of(name))

    def drop(self, settings: DatabaseSettings) -> None:
        name = make_url(settings.url.get_secret_value()).database
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def remove(self) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        async def work() -> None:
            url = make_url(self._server_url).set(drivername="postgresql").render_as_string(hide_password=False)
            connection = await asyncpg.connect(url, timeout=30)
            try:
                await connection.execute(statement, timeout=30)
            finally:
                await connection.close(timeout=5)

        run_blocking(work())


async def dump(database: DatabaseSettings, of: ProjectionTables = tables, *, without: tuple[str, ...] = ()) -> Dump:
    """Every row of the projection, table by table, sorted: equal dumps are equal databases.

    ``without`` names tables, or columns as ``table.column``. The names are those without a prefix.
    """
    async with opened(database, read_only=True) as engine, engine.connect() as connection:
        rows: Dump = {}
        for plain, table in zip(tables.all(), of.all(), strict=True):
            if plain.name in without:
                continue
            columns = [column for column in table.columns if f"{plain.name}.{column.name}" not in without]
            found = await connection.execute(sqlalchemy.select(*columns))
            rows[plain.name] = sorted((tuple(row) for row in found), key=repr)
        return rows


async def query(database: DatabaseSettings, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a SELECT."""
    async with opened(database, read_only=True) as engine, engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(sqlalchemy.text(statement), parameters)]
