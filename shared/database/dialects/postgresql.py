"""PostgreSQL, over asyncpg."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Insert, Table, Text, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, DropTable
from sqlalchemy.sql.compiler import SQLCompiler

from shared.database import functions as f
from shared.database.dialects.dialect import (
    ANSWER_S,
    LOCK_SHARE,
    MAX_CONNECT_S,
    MAX_IDLE_IN_TRANSACTION_S,
    Dialect,
    Meaning,
    Switch,
    Use,
    ping_idle_connections,
    write_as,
)
from shared.settings import DatabaseSettings

QUERY_CANCELED = "57014"  # SQLSTATE, above all for statement_timeout
MAX_LOCK_MS = 300  # shorter than the second after which PostgreSQL checks for deadlocks
_KEEPALIVES = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}  # sent by the server: s, s, number
_MIGRATION_LOCK = 7_230_411_905  # an arbitrary key that no other program on the same server locks

write_as(
    "postgresql",
    {
        f.bytewise: '({0} COLLATE "C")',
        f.is_one_of: "{0} = ANY ({1})",
        f.place_of: "strpos({0}, {1})",
        f.characters: "length({0})",
        f.ascii_lower: 'lower({0} COLLATE "C")',
        f.holds: "(strpos({0}, {1}) > 0)",
        f.begins: "starts_with({0}, {1})",
        f.ends: "(right({0}, length({1})) = {1})",
        f.has_word: "(string_to_array({0}, ' ') && {1})",
        f.footprint_value: "CAST(CAST({0} AS json) ->> {1} AS double precision)",
        f.total: "sum({0})",
        f.whole: "CAST(floor({0}) AS bigint)",
    },
)


@compiles(f.csv_line, "postgresql")
def _line(element: f.csv_line, compiler: SQLCompiler, **options: Any) -> str:
    values = []
    for column in element.clauses:
        name = compiler.process(column, **options)
        value = f"""'"' || replace({name}, '"', '""') || '"'""" if isinstance(column.type, Text) else f"CAST({name} AS text)"
        values.append(f"coalesce({value}, '\\N')" if column.nullable else value)
    return f"concat_ws(',', {', '.join(values)})"


class PostgreSql(Dialect):
    name = "postgresql"
    driver = "postgresql+asyncpg"
    schemes = frozenset({"postgresql", "postgres"})
    has_id_in_each_index = False
    follows_snapshots = True
    size_query = "SELECT pg_database_size(current_database())"

    def create_engine(self, url: sqlalchemy.URL, settings: DatabaseSettings, use: Use) -> AsyncEngine:
        timeout_ms = int(settings.timeout_s * 1000)
        lock_timeout_ms = timeout_ms if use.maintenance else int(timeout_ms * LOCK_SHARE)
        server_settings = {"application_name": "jobtide", "lock_timeout": str(lock_timeout_ms), **_KEEPALIVES}
        if not use.maintenance:
            server_settings["statement_timeout"] = str(timeout_ms)
            # A process that hangs in a transaction must not keep its standby waiting: the server ends the session.
            server_settings["idle_in_transaction_session_timeout"] = str(min(timeout_ms, int(MAX_IDLE_IN_TRANSACTION_S * 1000)))
        if use.read_only:
            server_settings["default_transaction_read_only"] = "on"
        elif not use.durable:
            # A commit lost in a crash of PostgreSQL is applied again from the log.
            server_settings["synchronous_commit"] = "off"
        engine = create_async_engine(
            url,
            pool_size=use.pool_size(settings),
            max_overflow=0,
            pool_use_lifo=True,  # the connection used last has its statements prepared and its pages cached
            pool_timeout=settings.timeout_s,
            connect_args={
                "timeout": min(MAX_CONNECT_S, settings.timeout_s),
                # Only for a server that does not answer at all; otherwise it ends statements itself and reports it.
                "command_timeout": None if use.maintenance else settings.timeout_s + ANSWER_S,
                "server_settings": server_settings,
            },
        )
        ping_idle_connections(engine.sync_engine)
        return engine

    def meaning(self, error: Exception) -> Meaning | None:
        """Away: server shutting down, out of resources, or a lock not granted in time, classes 08, 53, 55, 57.

        Also refused connections, 28 (wrong password) and 3D (no such database), which the driver raises outside SQLAlchemy.
        """
        state = _sqlstate(error) or ""
        if state == QUERY_CANCELED:
            return Meaning.TIMED_OUT
        if state[:2] == "40":
            return Meaning.LOST
        return Meaning.AWAY if state[:2] in {"08", "28", "3D", "53", "55", "57"} else None

    def list_type(self, item: Any) -> Any:
        return postgresql.ARRAY(item)

    def insert_or_ignore(self, table: Table) -> Insert:
        return postgresql.insert(table).on_conflict_do_nothing()

    def upsert(self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> Insert:
        insert = postgresql.insert(table).values({**key, **values})
        return insert.on_conflict_do_update(index_elements=list(key), set_=values)

    async def lock_users(self, connection: AsyncConnection) -> None:
        await connection.execute(text("LOCK TABLE hpc_user IN SHARE ROW EXCLUSIVE MODE"))

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        yield

    async def prepare(self, connection: AsyncConnection, switch: Switch) -> None:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        for index in switch.indexed_late.indexes:
            await connection.execute(CreateIndex(index, if_not_exists=True))
        for table in switch.new:  # new tables have no statistics until autovacuum runs, and plans would be bad
            await connection.execute(text(f'ANALYZE "{table.name}"'))

    async def hold_off(self, connection: AsyncConnection, position: Table) -> None:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text(f'LOCK TABLE "{position.name}" IN EXCLUSIVE MODE'))

    async def take(self, connection: AsyncConnection, old: Sequence[Table]) -> None:
        await connection.execute(text(f"SET LOCAL lock_timeout = {MAX_LOCK_MS}"))
        names = ", ".join(f'"{table.name}"' for table in old)
        await connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))

    async def replace(self, connection: AsyncConnection, switch: Switch) -> None:
        await connection.execute(DropTable(switch.mark))
        for before, after in zip(switch.old, switch.new, strict=True):
            await connection.execute(DropTable(before))
            await connection.execute(text(f'ALTER TABLE "{after.name}" RENAME TO "{before.name}"'))
        names = await connection.execute(
            text("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND starts_with(indexname, :prefix)"),
            {"prefix": switch.prefix},
        )
        for (name,) in names.all():  # renaming an index renames its constraint
            await connection.execute(text(f'ALTER INDEX "{name}" RENAME TO "{name.removeprefix(switch.prefix)}"'))

    def tidying(self, tables: Sequence[str]) -> Sequence[tuple[str, str]]:
        return [(name, f'VACUUM (ANALYZE) "{name}"') for name in tables]


def _sqlstate(error: Exception) -> str | None:
    raised = error.orig if isinstance(error, DBAPIError) else error
    if "asyncpg" not in type(raised).__module__:  # other drivers have such states too
        return None
    state = getattr(raised, "sqlstate", None) or getattr(getattr(raised, "__cause__", None), "sqlstate", None)
    return state if isinstance(state, str) else None
