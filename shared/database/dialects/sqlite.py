"""SQLite, over aiosqlite, and over the driver itself for reading."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, Insert, Table, Text, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, DropTable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import await_only

from shared.database import functions as f
from shared.database.dialects.dialect import Dialect, Meaning, Switch, Use, write_as
from shared.database.sqlite_readers import SqliteReaders
from shared.errors import UserError
from shared.file_modes import close_to_others
from shared.settings import DatabaseSettings

WAL_RETRY_S = 0.01
_CACHE_KIB = 32 * 1024

write_as(
    "sqlite",
    {
        f.bytewise: "{0}",
        f.is_one_of: "{0} IN (SELECT value FROM json_each({1}))",
        f.place_of: "instr({0}, {1})",
        f.characters: "length({0})",
        f.ascii_lower: "lower({0})",  # changes A to Z only
        f.holds: "(instr({0}, {1}) > 0)",
        f.begins: "(substr({0}, 1, length({1})) = {1})",
        f.ends: "(substr({0}, -length({1})) = {1})",
        f.has_word: "EXISTS (SELECT 1 FROM json_each({1}) AS word WHERE instr({0}, ' ' || word.value || ' ') > 0)",
        f.footprint_value: "json_extract({0}, '$.\"' || {1} || '\"')",
        f.total: "sum({0})",
        f.whole: "CAST({0} AS INTEGER)",
    },
)


@compiles(f.csv_line, "sqlite")
def _line(element: f.csv_line, compiler: SQLCompiler, **options: Any) -> str:
    """A single printf: chained concatenations copy the text at each step, which takes three times as long."""
    forms, values = [], []
    for column in element.clauses:
        name = compiler.process(column, **options)
        form = '"%w"' if isinstance(column.type, Text) else {"Double": "%!.17g"}.get(type(column.type).__name__, "%s")  # %w doubles quotes
        if column.nullable:
            name = f"CASE WHEN {name} IS NULL THEN '\\N' ELSE printf('{form}', {name}) END"
            form = "%s"
        forms.append(form)
        values.append(name)
    return f"printf('{','.join(forms)}', {', '.join(values)})"


class Sqlite(Dialect):
    name = "sqlite"
    driver = "sqlite+aiosqlite"
    schemes = frozenset({"sqlite"})
    has_id_in_each_index = True
    size_query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"

    def create_engine(self, url: sqlalchemy.URL, settings: DatabaseSettings, use: Use) -> AsyncEngine:
        """Raises UserError when a file to read does not exist."""
        if url.database and url.database != ":memory:":
            # Opening a missing file would create an empty one.
            if use.read_only and not url.database.startswith("file:") and not Path(url.database).exists():
                raise UserError(f"there is no database {url.database}; `jobtide migrate` creates it")
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            if not use.read_only:
                close_to_others(*(Path(url.database + suffix) for suffix in ("", "-wal", "-shm")))
        timeout_ms, pool_size = int(settings.timeout_s * 1000), use.pool_size(settings)
        bounds: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_use_lifo": True,
            "pool_timeout": settings.timeout_s,
            "connect_args": {"timeout": settings.timeout_s},
        }
        engine = create_async_engine(url, **bounds)
        _prepare(engine.sync_engine, timeout_ms, read_only=use.read_only, durable=use.durable)
        if not use.read_only:
            return engine
        bounds["connect_args"] |= {"check_same_thread": False}  # one thread at a time, but not always the same one
        blocking = sqlalchemy.create_engine(url.set(drivername="sqlite"), **bounds)
        _prepare(blocking, timeout_ms, read_only=True, durable=False)
        return SqliteReaders(engine, blocking, pool_size, settings.timeout_s)

    def meaning(self, error: Exception) -> Meaning | None:
        return None

    def list_type(self, item: Any) -> Any:
        return Text()

    def list_value(self, values: Sequence[Any] | None) -> Any:
        return json.dumps(values)

    def insert_or_ignore(self, table: Table) -> Insert:
        return sqlite.insert(table).on_conflict_do_nothing()

    def upsert(self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> Insert:
        insert = sqlite.insert(table).values({**key, **values})
        return insert.on_conflict_do_update(index_elements=list(key), set_=values)

    async def replace(self, connection: AsyncConnection, switch: Switch) -> None:
        """SQLite cannot rename indexes, so they are created again."""
        await connection.execute(DropTable(switch.mark))
        for before, after in zip(switch.old, switch.new, strict=True):
            await connection.execute(DropTable(before))
            for index in after.indexes if after is not switch.indexed_late else ():
                await connection.execute(text(f'DROP INDEX "{index.name}"'))
            await connection.execute(text(f'ALTER TABLE "{after.name}" RENAME TO "{before.name}"'))
            for index in before.indexes:
                await connection.execute(CreateIndex(index))

    def tidying(self, tables: Sequence[str]) -> Sequence[tuple[str, str]]:
        # VACUUM copies the file, so the statistics come first: they are then in the copy.
        return (("statistics", "ANALYZE"), ("compacting", "VACUUM"), ("log file", "PRAGMA wal_checkpoint(TRUNCATE)"))


def _use_wal(cursor: Any, timeout_s: float) -> None:
    """SQLite does not wait for a lock when the mode changes, as two processes do at once in a new file."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > deadline:
                raise
        if isinstance(cursor, sqlite3.Cursor):  # of the blocking engine, whose threads have no event loop
            time.sleep(WAL_RETRY_S)
        else:
            await_only(asyncio.sleep(WAL_RETRY_S))


def _prepare(engine: Engine, timeout_ms: int, *, read_only: bool, durable: bool) -> None:
    pragmas = [
        # NORMAL is safe in WAL mode: a power loss undoes whole commits, which are applied again from the log.
        "synchronous=FULL" if durable else "synchronous=NORMAL",
        f"cache_size=-{_CACHE_KIB}",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ]
    if read_only:
        pragmas.append("query_only=ON")

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not open transactions itself
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={timeout_ms}")
        _use_wal(cursor, timeout_ms / 1000)
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "invalidate")
    def on_invalidate(connection: Any, *_: Any) -> None:
        # When a task is cancelled inside a transaction, only closing the connection rolls back, and in about one case in a
        # hundred the file stayed locked long after that. One step queues the rollback before the close.
        if isinstance(connection, sqlite3.Connection):
            return
        rollback = connection.driver_connection.rollback()
        with suppress(ValueError):  # closed already
            rollback.send(None)
        rollback.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        # Writers lock immediately: a transaction that reads first cannot upgrade its lock while another writer is active.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
