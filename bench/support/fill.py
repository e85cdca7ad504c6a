"""Writing rows into an empty database the fast way, past the services."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, DropIndex

from shared.database.migrate import migrate_blocking
from shared.database.tables import tables
from shared.settings import DatabaseSettings

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of one table, all in memory."""

    table: Table
    columns: Sequence[str]
    rows: Sequence[Row]


async def fill_database(settings: DatabaseSettings, parts: Iterator[Rows]) -> None:
    """Make the schema and write ``parts`` in their order."""
    await asyncio.to_thread(migrate_blocking, settings)
    url = make_url(settings.url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        await asyncio.to_thread(_fill_sqlite, url.database, parts)
    else:
        await _fill_postgres(url.set(drivername="postgresql").render_as_string(hide_password=False), parts)


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


async def _fill_postgres(url: str, parts: Iterator[Rows]) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for index in tables.job.indexes:
            await connection.execute(str(DropIndex(index)), timeout=60)
        filled: dict[str, None] = {}
        for part in parts:
            await connection.copy_records_to_table(part.table.name, records=part.rows, columns=list(part.columns), timeout=600)
            filled[part.table.name] = None
        for index in tables.job.indexes:
            text = str(CreateIndex(index).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
            await connection.execute(text, timeout=600)
        for table in filled:
            await connection.execute(f"VACUUM ANALYZE {table}", timeout=600)
    finally:
        await connection.close(timeout=10)
