"""MariaDB, over asyncmy."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Double, Engine, Insert, Table, Text, UnaryExpression, event, text
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler, TypeCompiler

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
from shared.database.types import ALL_ROWS, Name
from shared.errors import Unavailable, UserError
from shared.settings import DatabaseSettings

COLLATION = "utf8mb4_nopad_bin"  # texts differ if their bytes differ, also in blanks at the end
# Names in double quotes, as other engines have them, and errors instead of changed values. Without NO_BACKSLASH_ESCAPES, which the
# driver does not heed in lists.
_SQL_MODE = "ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
_GONE = "gone_"  # prefix of the tables that a rebuild has replaced, until they are dropped
_MAX_LOCK_S = 1
_MAX_STATEMENT = 1_000_000  # characters, well below max_allowed_packet
_OLDEST = (10, 6)  # version
_LEAST_PACKET = 16 << 20  # bytes; several times the largest event, whose texts are escaped twice
_PACKET = "max_allowed_packet"
_STATEMENT_TIMEOUT = 1969
_LOST = frozenset({1020, 1213, 1412})  # row changed, deadlock, table renamed since the transaction began
# Too many connections, access denied, unknown database, shutdown, disk or table full, connection errors, refused by a server that
# only reads, statement or connection killed, lock timeout.
_AWAY = frozenset(
    {1021, 1037, 1040, 1041, 1043, 1044, 1045, 1049, 1053, 1105, 1114, 1129, 1130, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205}
    | {1290, 1317, 1836, 1927, 2002, 2003, 2005, 2006, 2013, 2014, 2055}
)
_INDEXES = "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = database() AND table_name = :table"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _replaced_letters(argument: str) -> str:
    for letter in _UPPER:
        argument = f"replace({argument}, '{letter}', '{letter.lower()}')"
    return argument


write_as(
    "mariadb",
    {
        f.bytewise: "{0}",
        f.is_one_of: "{0} IN {1}",
        f.place_of: "locate({1}, {0})",
        f.characters: "char_length({0})",
        # A text of ASCII only, which is the common case, is lowered by the faster function.
        f.ascii_lower: f"CASE WHEN length({{0}}) = char_length({{0}}) THEN lower({{0}}) ELSE {_replaced_letters('{0}')} END",
        f.holds: "(locate({1}, {0}) > 0)",
        f.begins: "(left({0}, char_length({1})) = {1})",
        f.ends: "(right({0}, char_length({1})) = {1})",
        f.has_word: (
            f"EXISTS (SELECT 1 FROM json_table({{1}}, '$[*]' COLUMNS (value TEXT COLLATE {COLLATION} PATH '$')) AS word"  # noqa: S608
            " WHERE locate(concat(' ', word.value, ' '), {0}) > 0)"
        ),
        f.footprint_value: "CAST(json_value({0}, concat('$.\"', {1}, '\"')) AS double)",
        f.total: "CAST(sum({0}) AS signed)",
        f.whole: "CAST(floor({0}) AS signed)",
    },
)


@compiles(f.csv_line, "mariadb")
def _line(element: f.csv_line, compiler: SQLCompiler, **options: Any) -> str:
    values = []
    for column in element.clauses:
        name = compiler.process(column, **options)
        value = f"""concat('"', replace({name}, '"', '""'), '"')""" if isinstance(column.type, Text) else f"CAST({name} AS char)"
        values.append(f"coalesce({value}, '\\\\N')" if column.nullable else value)
    return f"concat_ws(',', {', '.join(values)})"


@compiles(UnaryExpression, "mariadb")
def _without_place_of_null(element: UnaryExpression[Any], compiler: SQLCompiler, **options: Any) -> str:
    """NULL is the lowest value of every order here, which is what the two words ask for in our statements."""
    if element.modifier in (operators.nulls_first_op, operators.nulls_last_op):
        return compiler.process(element.element, **options)
    return str(compiler.visit_unary(element, **options))  # type: ignore[no-untyped-call]


@compiles(Text, "mariadb")
def _long_text(element: Text, compiler: TypeCompiler, **options: Any) -> str:
    return "LONGTEXT"


@compiles(Name, "mariadb")
def _short_text(element: Name, compiler: TypeCompiler, **options: Any) -> str:
    return f"VARCHAR({element.characters})"


@compiles(CreateTable, "mariadb")
def _table(element: CreateTable, compiler: DDLCompiler, **options: Any) -> str:
    statement = str(compiler.visit_create_table(element, **options)).rstrip()  # type: ignore[no-untyped-call]
    return f"{statement} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {COLLATION}"


@compiles(CreateIndex, "mariadb")
def _index(element: CreateIndex, compiler: DDLCompiler, **options: Any) -> str:
    """There are no partial indexes: one with the columns of the condition in front takes their place."""
    index, quote = element.element, compiler.preparer.quote
    columns = ", ".join(map(quote, index.info.get(ALL_ROWS) or [column.name for column in index.columns]))
    assert index.table is not None
    exists = "IF NOT EXISTS " if element.if_not_exists else ""
    return f"CREATE INDEX {exists}{quote(str(index.name))} ON {compiler.preparer.format_table(index.table)} ({columns})"


def _json_type(type_: Any) -> str:
    if isinstance(type_, Text):
        return f"LONGTEXT COLLATE {COLLATION}"
    return "DOUBLE" if isinstance(type_, Double) else "BIGINT"


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """Consecutive texts with at most _MAX_STATEMENT characters together, or a single one."""
    part: list[str] = []
    size = 0
    for text_ in texts:
        if part and size + len(text_) > _MAX_STATEMENT:
            yield part
            part, size = [], 0
        part.append(text_)
        size += len(text_)
    if part:
        yield part


class MariaDb(Dialect):
    name = "mariadb"
    driver = "mariadb+asyncmy"
    schemes = frozenset({"mariadb", "mysql"})
    has_id_in_each_index = True
    follows_snapshots = True
    joins_lines = False  # its longest text is bounded by max_allowed_packet
    begins_at_present_schema = True
    size_query = "SELECT coalesce(sum(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = database()"

    def create_engine(self, url: sqlalchemy.URL, settings: DatabaseSettings, use: Use) -> AsyncEngine:
        timeout_s = settings.timeout_s
        lock_s = max(1, int(timeout_s if use.maintenance else timeout_s * LOCK_SHARE))
        session: dict[str, str | int | float] = {
            "sql_mode": f"'{_SQL_MODE}'",
            "collation_connection": COLLATION,
            "innodb_lock_wait_timeout": lock_s,
            "lock_wait_timeout": lock_s,
            "time_zone": "'+00:00'",
        }
        if not use.maintenance:
            session["max_statement_time"] = timeout_s
            # A process that hangs in a transaction must not keep its standby waiting: the server ends the session.
            session["idle_transaction_timeout"] = max(1, int(min(timeout_s, MAX_IDLE_IN_TRANSACTION_S)))
        try:
            engine = create_async_engine(
                url,
                pool_size=use.pool_size(settings),
                max_overflow=0,
                pool_use_lifo=True,
                pool_timeout=timeout_s,
                connect_args={
                    "charset": "utf8mb4",
                    "connect_timeout": min(MAX_CONNECT_S, timeout_s),
                    # Only for a server that does not answer at all; otherwise it ends statements itself and reports it.
                    "read_timeout": None if use.maintenance else timeout_s + ANSWER_S,
                },
            )
        except ModuleNotFoundError as e:
            raise UserError("MariaDB needs the package asyncmy, which `pip install 'jobtide[mariadb]'` installs") from e
        logging.getLogger("asyncmy").setLevel(logging.ERROR)  # it passes on warnings such as that a primary key needs no name
        access = "READ ONLY" if use.read_only else "READ WRITE"
        _begin_sessions(
            engine.sync_engine,
            "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in session.items()),
            f"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}",
        )
        _recognise_large_statements(engine.sync_engine)
        ping_idle_connections(engine.sync_engine)
        return engine

    def meaning(self, error: Exception) -> Meaning | None:
        code = _code(error)
        if code is None:
            return None
        if code == _STATEMENT_TIMEOUT:
            return Meaning.TIMED_OUT
        if code in _LOST:
            return Meaning.LOST
        is_away = code in _AWAY or (isinstance(error, DBAPIError) and error.connection_invalidated)
        return Meaning.AWAY if is_away else Meaning.FAULT

    def list_type(self, item: Any) -> Any:
        return Text()

    def list_value(self, values: Sequence[Any] | None) -> Any:
        """The driver writes a tuple as a list in parentheses, which must not be empty."""
        return tuple(values or ()) or (None,)

    def word_list_value(self, words: Sequence[str] | None) -> Any:
        return json.dumps(words)

    def insert_or_ignore(self, table: Table) -> Insert:
        """Not INSERT IGNORE, which also turns errors into changed values."""
        from sqlalchemy.dialects import mysql

        first = next(iter(table.primary_key.columns))
        return mysql.insert(table).on_duplicate_key_update({first.name: first})

    def upsert(self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> Insert:
        from sqlalchemy.dialects import mysql  # not imported by services over other engines

        return mysql.insert(table).values({**key, **values}).on_duplicate_key_update(dict(values))

    def update_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """A statement for many rows: the driver would send one for each of them."""
        names = list(rows[0])
        types = {name: _json_type(table.c[name].type) for name in names}
        columns = ", ".join(f"\"{name}\" {types[name]} PATH '$[{place}]' ERROR ON ERROR" for place, name in enumerate(names))
        values = ", ".join(f'old."{name}" = new."{name}"' for name in names if name != "id")
        new = f"json_table(%s, '$[*]' COLUMNS ({columns})) AS new"
        statement = f'UPDATE {new} STRAIGHT_JOIN "{table.name}" AS old ON old.id = new.id SET {values}'  # noqa: S608 - declared names
        for part in _parts([json.dumps([row[name] for name in names], ensure_ascii=False) for row in rows]):
            connection.exec_driver_sql(statement, (f"[{','.join(part)}]",))

    async def lock_users(self, connection: AsyncConnection) -> None:
        """The lock of a row that always exists: those of a table do not belong to a transaction."""
        await connection.execute(text("SELECT version_num FROM alembic_version FOR UPDATE"))

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        """The lock belongs to the session, since each change of a table ends a transaction."""
        name = "concat(database(), '.jobtide')"
        if not connection.scalar(text(f"SELECT get_lock({name}, @@lock_wait_timeout)")):
            raise Unavailable("database: another migration is running")
        try:
            yield
            connection.execute(text("COMMIT"))  # before another one that waits looks at the revision
        finally:
            connection.execute(text(f"DO release_lock({name})"))

    async def prepare(self, connection: AsyncConnection, switch: Switch) -> None:
        """Names of indexes are those of their table only, so the new ones get their final names here."""
        for table in switch.new:
            found = await connection.scalars(
                text(
                    "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = database() AND table_name = :table"
                ),
                {"table": table.name},
            )
            names = set(found)
            if table is switch.indexed_late:
                for index in table.indexes:
                    if not names & {index.name, str(index.name).removeprefix(switch.prefix)}:
                        await connection.execute(CreateIndex(index))
                        names.add(str(index.name))
            for name in sorted(name for name in names if name.startswith(switch.prefix)):
                await connection.execute(text(f'ALTER TABLE "{table.name}" RENAME INDEX "{name}" TO "{name.removeprefix(switch.prefix)}"'))
            await connection.execute(text(f'ANALYZE TABLE "{table.name}"'))

    async def replace(self, connection: AsyncConnection, switch: Switch) -> None:
        """One statement renames all tables; it commits the transaction before.

        jobstore may apply events to the old tables between the two. The new ones have their own position, so it applies them again.
        """
        leaving = [*switch.old, switch.mark]
        gone = ", ".join(f'"{_GONE}{table.name}"' for table in leaving)
        await connection.execute(text(f"DROP TABLE IF EXISTS {gone}"))
        names = [(table.name, f"{_GONE}{table.name}") for table in leaving]
        names += [(after.name, before.name) for before, after in zip(switch.old, switch.new, strict=True)]
        renames = ", ".join(f'"{before}" TO "{after}"' for before, after in names)
        await connection.execute(text(f"SET STATEMENT lock_wait_timeout = {_MAX_LOCK_S} FOR RENAME TABLE {renames}"))
        await connection.execute(text(f"DROP TABLE IF EXISTS {gone}"))

    def tidying(self, tables: Sequence[str]) -> Sequence[tuple[str, str]]:
        return [(name, f'OPTIMIZE TABLE "{name}"') for name in tables]

    async def tidy(self, driver: Any, statement: str) -> None:
        await driver.query(statement)


def _begin_sessions(engine: Engine, *settings: str) -> None:
    """Connections raise UserError for a server on which jobtide does not run."""

    def on_connect(connection: Any, record: Any) -> None:
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT version(), @@max_allowed_packet")
            version, record.info[_PACKET] = cursor.fetchone()
            _check(version, record.info[_PACKET])
            for statement in settings:
                cursor.execute(statement)
            cursor.close()
            connection.rollback()
        except BaseException:
            connection.terminate()
            raise

    event.listen(engine, "connect", on_connect, insert=True)  # before SQLAlchemy asks for what it must know about the session


def _check(version: str, max_packet: int) -> None:
    numbers = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", version)
    if "mariadb" not in version.lower():
        raise UserError(f"the database server is MySQL {version}, which jobtide does not support: use MariaDB, PostgreSQL or SQLite")
    if numbers is None or tuple(map(int, numbers.groups())) < _OLDEST:
        raise UserError(f"the database server is {version}, jobtide needs MariaDB {'.'.join(map(str, _OLDEST))} or newer")
    if max_packet < _LEAST_PACKET:
        raise UserError(f"max_allowed_packet of the database server is {max_packet}, jobtide needs at least {_LEAST_PACKET}, its default")


class StatementTooLarge(Exception):
    """The server closes the connection while the driver still sends, which then has one of many errors, most as if the server was gone."""


def _recognise_large_statements(engine: Engine) -> None:
    @event.listens_for(engine, "handle_error", retval=True)
    def on_error(context: ExceptionContext) -> StatementTooLarge | None:
        if context.connection is None or context.statement is None or not isinstance(context.original_exception, Exception):
            return None
        size, limit = _size(context.statement, context.parameters), context.connection.info[_PACKET]
        if size <= limit:
            return None
        context.is_disconnect = True
        return StatementTooLarge(f"a statement of {size} bytes is larger than the server's max_allowed_packet, {limit}")


def _size(statement: str, parameters: Any) -> int:
    """Bytes, of the largest row where there are many: the driver sends a large one alone."""
    rows = parameters if isinstance(parameters, list) else [parameters or ()]
    return len(statement) + max((sum(map(_text_size, row)) for row in rows), default=0)


def _text_size(value: Any) -> int:
    from asyncmy.converters import escape_string

    return len(escape_string(value).encode()) if isinstance(value, str) else 0


def _code(error: Exception) -> int | None:
    """The number of an error that asyncmy raised."""
    raised: Any = error.orig if isinstance(error, DBAPIError) else error
    if not type(raised).__module__.startswith("asyncmy") or not raised.args or not isinstance(raised.args[0], int):
        return None
    return int(raised.args[0])
