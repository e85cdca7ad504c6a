"""Connections to PostgreSQL and SQLite, transactions and reads over them, and what their errors mean."""

import math
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.database.sqlite_readers import SqliteReaders
from shared.errors import StatementTimedOut, Unavailable, UserError
from shared.file_modes import close_to_others
from shared.settings import DatabaseSettings

T = TypeVar("T")
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
QUERY_CANCELED = "57014"  # SQLSTATE of PostgreSQL, above all for statement_timeout
_LOCK_SHARE = 0.8
_ANSWER_S = 5.0
_CACHE_KIB = 32 * 1024
MAX_IDLE_IN_TRANSACTION_MS = 15_000  # with the keepalives, a standby takes over within 30 s
_KEEPALIVES = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}  # sent by the server: s, s, number
_TRUSTED_S = 1.0  # connections used more recently are not pinged


def async_url(settings: DatabaseSettings) -> sqlalchemy.URL:
    """Raises UserError for an unsupported database."""
    try:
        url = make_url(settings.url.get_secret_value())
    except ArgumentError as e:
        raise UserError("JOBTIDE_DATABASE_URL: not a database URL") from e
    driver = _DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise UserError(f"JOBTIDE_DATABASE_URL: {url.get_backend_name()!r} is neither sqlite nor postgresql")
    return url.set(drivername=driver)


def create_engine(
    settings: DatabaseSettings, *, read_only: bool = False, durable: bool = False, maintenance: bool = False, connections: int | None = None
) -> AsyncEngine:
    """An engine on which every wait ends after ``timeout_s``; the caller disposes of it.

    Raises UserError for an unsupported database, and when a SQLite file to read does not exist.
    ``durable`` is for tables that cannot be rebuilt from the log: a commit is on disk when it returns.
    ``maintenance`` is for migrations and rebuilds: only waits for locks are bounded, because indexing a large table takes long.
    """
    pool_size = connections or settings.pool_size
    url = async_url(settings)
    timeout_ms = int(settings.timeout_s * 1000)
    if url.get_backend_name() == "postgresql":
        # A wait for a lock ends before the statement's limit, so that the two are not confused.
        lock_timeout_ms = timeout_ms if maintenance else int(timeout_ms * _LOCK_SHARE)
        server_settings = {"application_name": "jobtide", "lock_timeout": str(lock_timeout_ms), **_KEEPALIVES}
        if not maintenance:
            server_settings["statement_timeout"] = str(timeout_ms)
            # A process that hangs in a transaction must not keep its standby waiting: the server ends the session.
            server_settings["idle_in_transaction_session_timeout"] = str(min(timeout_ms, MAX_IDLE_IN_TRANSACTION_MS))
        if read_only:
            server_settings["default_transaction_read_only"] = "on"
        elif not durable:
            # A commit lost in a crash of PostgreSQL is applied again from the log.
            server_settings["synchronous_commit"] = "off"
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_use_lifo=True,  # the connection used last has its statements prepared and its pages cached
            pool_timeout=settings.timeout_s,
            connect_args={
                "timeout": min(10.0, settings.timeout_s),
                # Only for a server that does not answer at all; otherwise it ends statements itself and reports it.
                "command_timeout": None if maintenance else settings.timeout_s + _ANSWER_S,
                "server_settings": server_settings,
            },
        )
        _try_out_idle_connections(engine.sync_engine)
        return engine
    if url.database and url.database != ":memory:":
        if read_only and not url.database.startswith("file:") and not Path(url.database).exists():  # opening it would create an empty one
            raise UserError(f"there is no database {url.database}; `jobtide migrate` creates it")
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        if not read_only:
            close_to_others(*(Path(url.database + suffix) for suffix in ("", "-wal", "-shm")))
    bounds: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_use_lifo": True,
        "pool_timeout": settings.timeout_s,
        "connect_args": {"timeout": settings.timeout_s},
    }
    engine = create_async_engine(url, **bounds)
    _prepare_sqlite(engine.sync_engine, timeout_ms, read_only=read_only, durable=durable)
    if not read_only:
        return engine
    bounds["connect_args"] |= {"check_same_thread": False}  # one thread at a time, but not always the same one
    blocking = sqlalchemy.create_engine(url.set(drivername="sqlite"), **bounds)
    _prepare_sqlite(blocking, timeout_ms, read_only=True, durable=False)
    return SqliteReaders(engine, blocking, pool_size, settings.timeout_s)


def _try_out_idle_connections(engine: Engine) -> None:
    """Ping only connections that have been idle for a while: a ping costs as much as a short statement."""

    @event.listens_for(engine, "checkin")
    def on_checkin(_: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("idle_since", math.inf) < _TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as e:
            raise InvalidatePoolError from e  # the pool discards all connections of that age


def _prepare_sqlite(engine: Engine, timeout_ms: int, *, read_only: bool, durable: bool) -> None:
    pragmas = [
        f"busy_timeout={timeout_ms}",
        "journal_mode=WAL",
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


@asynccontextmanager
async def opened(
    settings: DatabaseSettings, *, read_only: bool = False, durable: bool = False, maintenance: bool = False, connections: int | None = None
) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings, read_only=read_only, durable=durable, maintenance=maintenance, connections=connections)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction. Raises Unavailable when the database is unreachable, busy for too long, or out of space."""
    with away_as_unavailable():
        async with engine.begin() as connection:
            yield connection


async def read(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction; its result must not refer to the connection. Raises Unavailable, also on timeout.

    On PostgreSQL it runs in the event loop, over asyncpg; SQLite that is opened for reading runs it in a thread.
    """
    with away_as_unavailable():
        if isinstance(engine, SqliteReaders):
            return await engine.read(work)
        async with engine.begin() as connection:
            return await connection.run_sync(work)


async def ping(engine: AsyncEngine) -> None:
    """Run a real query. Raises Unavailable."""
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT 1"))


# errors of the drivers


@contextmanager
def away_as_unavailable() -> Iterator[None]:
    """Raises Unavailable when the database is unreachable, busy for too long, or out of space."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError, TimeoutError) as e:
        raise Unavailable(_description(e)) from e
    except Exception as e:
        if _sqlstate(e) == QUERY_CANCELED:
            raise StatementTimedOut(_description(e)) from e
        if _is_away(e):
            raise Unavailable(_description(e)) from e
        raise


def _description(error: Exception) -> str:
    """The error's type and the first line of its text, which is empty for an expired deadline."""
    text = str(error).strip().partition("\n")[0][:300]
    return f"database: {type(error).__name__}" + (f": {text}" if text else "")


def _is_away(error: Exception) -> bool:
    """Server shutting down, out of resources, or a transaction that lost a race: PostgreSQL classes 08, 40, 53, 55, 57.

    Also refused connections, 28 (wrong password) and 3D (no such database), which the driver raises outside SQLAlchemy.
    """
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return (_sqlstate(error) or "")[:2] in {"08", "28", "3D", "40", "53", "55", "57"}


def _sqlstate(error: Exception) -> str | None:
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or getattr(getattr(error.orig, "__cause__", None), "sqlstate", None)
    else:
        state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None
