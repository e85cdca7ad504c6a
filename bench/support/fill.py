"""Writing rows into an empty database the fast way, past the services."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.schema import CreateIndex, DropIndex

from bench.support.database import address, mariadb, postgres
from shared.database.dialects.mariadb import MariaDb
from shared.database.migrate import migrate_blocking
from shared.database.tables import tables
from shared.settings import DatabaseSettings

Row = tuple[Any, ...]
_FILL_S = 600.0  # one statement


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of one table, all in memory."""

    table: Table
    columns: Sequence[str]
    rows: Sequence[Row]


async def fill_database(settings: DatabaseSettings, parts: Iterator[Rows]) -> None:
    """Make the schema and write ``parts`` in their order."""
    await asyncio.to_thread(migrate_blocking, settings)
    engine, url = address(settings)
    if engine == "sqlite":
        assert url.database is not None
        await asyncio.to_thread(_fill_sqlite, url.database, parts)
    elif engine == "mariadb":
        await _fill_mariadb(url, parts)
    else:
        await _fill_postgres(url, parts)


def _fill_sqlite(file: str, parts: Iterator[Rows]) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for index in tables.job.indexes:
        connection.execute(str(DropIndex(index)))
    for part in parts:
        marks = ",".join("?" * len(part.columns))
        connection.executemany(f"INSERT INTO {part.table.name} ({','.join(part.columns)}) VALUES ({marks})", part.rows)
    for index in tables.job.indexes:
        connection.execute(str(CreateIndex(index).compile(dialect=sqlite.dialect())))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def _fill_postgres(url: URL, parts: Iterator[Rows]) -> None:
    async with postgres(url) as connection:
        for index in tables.job.indexes:
            await connection.execute(str(DropIndex(index)), timeout=60)
        filled: dict[str, None] = {}
        for part in parts:
            await connection.copy_records_to_table(part.table.name, records=part.rows, columns=list(part.columns), timeout=_FILL_S)
            filled[part.table.name] = None
        for index in tables.job.indexes:
            text = str(CreateIndex(index).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
            await connection.execute(text, timeout=_FILL_S)
        for table in filled:
            await connection.execute(f"VACUUM ANALYZE {table}", timeout=_FILL_S)


async def _fill_mariadb(url: URL, parts: Iterator[Rows]) -> None:
    dialect = url.set(drivername=MariaDb.driver).get_dialect()()
    async with mariadb(url, timeout_s=_FILL_S) as connection:
        for index in tables.job.indexes:
            await connection.query(f"DROP INDEX {index.name} ON {tables.job.name}")
        filled: dict[str, None] = {}
        async with connection.cursor() as cursor:
            for part in parts:
                marks = ",".join(["%s"] * len(part.columns))
                await cursor.executemany(f"INSERT INTO {part.table.name} ({','.join(part.columns)}) VALUES ({marks})", part.rows)
                await connection.commit()
                filled[part.table.name] = None
        for index in tables.job.indexes:
            await connection.query(str(CreateIndex(index).compile(dialect=dialect)))
        for table in filled:
            await connection.query(f"ANALYZE TABLE {table}")
