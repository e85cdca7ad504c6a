"""Connections to the database, transactions and reads over them, and what its errors mean."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import sqlalchemy
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.borrowed import run_in_thread
from shared.database.dialects import DIALECTS, Dialect, Use
from shared.database.sqlite_readers import SqliteReaders
from shared.errors import TransactionLost, Unavailable, UserError
from shared.settings import DatabaseSettings

P = ParamSpec("P")
T = TypeVar("T")
_PAUSES_S = (0.02, 0.05, 0.1, 0.2)  # before a transaction that was lost is repeated


def async_url(settings: DatabaseSettings) -> sqlalchemy.URL:
    """Raises UserError for an unsupported database."""
    return _url_and_dialect(settings)[0]


def _url_and_dialect(settings: DatabaseSettings) -> tuple[sqlalchemy.URL, Dialect]:
    try:
        url = make_url(settings.url.get_secret_value())
    except ArgumentError as e:
        raise UserError("JOBTIDE_DATABASE_URL: not a database URL") from e
    for dialect in DIALECTS:
        if url.get_backend_name() in dialect.schemes:
            return url.set(drivername=dialect.driver), dialect
    raise UserError(f"JOBTIDE_DATABASE_URL: {url.get_backend_name()!r} is none of sqlite, postgresql, mysql (MariaDB)")


def create_engine(
    settings: DatabaseSettings, *, read_only: bool = False, durable: bool = False, maintenance: bool = False, connections: int | None = None
) -> AsyncEngine:
    """An engine on which every wait ends after ``timeout_s``; the caller disposes of it.

    Raises UserError for an unsupported database, and when a SQLite file to read does not exist.
    ``durable`` is for tables that cannot be rebuilt from the log: a commit is on disk when it returns.
    ``maintenance`` is for migrations and rebuilds: only waits for locks are bounded, because indexing a large table takes long.
    """
    url, dialect = _url_and_dialect(settings)
    return dialect.create_engine(url, settings, Use(read_only=read_only, durable=durable, maintenance=maintenance, connections=connections))


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
    with away_as_unavailable(), _ends_cancelled():
        async with engine.begin() as connection:
            with _ends_cancelled():
                yield connection


@contextmanager
def _ends_cancelled() -> Iterator[None]:
    """Raise CancelledError at the end where the driver has lost it, as ``wait_for`` of Python 3.11 does when the answer is there too."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


def repeats_lost(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a method with one transaction again if that was lost to another one: in a deadlock, or to a rebuild that replaces the tables."""

    @wraps(method)
    async def repeated(*arguments: P.args, **named: P.kwargs) -> T:
        for pause_s in _PAUSES_S:
            try:
                return await method(*arguments, **named)
            except TransactionLost:
                await asyncio.sleep(pause_s)
        return await method(*arguments, **named)

    return repeated


async def read(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction; its result must not refer to the connection. Raises Unavailable, also on timeout.

    ``work`` runs again if the transaction was lost to another one.

    It runs in the event loop; SQLite that is opened for reading runs it in a thread.
    """
    return await _read(engine, work)


@repeats_lost
async def _read(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    with away_as_unavailable(), _ends_cancelled():
        if isinstance(engine, SqliteReaders):
            return await engine.read(work)
        async with engine.begin() as connection:
            return await connection.run_sync(work)


async def run(connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in the transaction of ``connection``; its result must not refer to its argument. Raises what statements raise.

    It runs in the event loop. On SQLite it runs as a whole in the thread of the driver, since a short statement takes less time
    than its way to that thread and back; a cancelled caller waits until it has ended.
    """
    if connection.dialect.name != "sqlite":
        return await connection.run_sync(work)
    return await run_in_thread(connection, work)


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
    except Exception as e:
        if (meaning := _meaning(e)) is None:
            raise
        raise meaning(_description(e)) from e


def _description(error: Exception) -> str:
    """The error's type and the first line of its text, which is empty for an expired deadline."""
    text = str(error).strip().partition("\n")[0][:300]
    return f"database: {type(error).__name__}" + (f": {text}" if text else "")


def _meaning(error: Exception) -> type[Unavailable] | None:
    for dialect in DIALECTS:
        if (meaning := dialect.meaning(error)) is not None:
            return meaning.value
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | OSError | TimeoutError):
        return Unavailable
    return Unavailable if isinstance(error, DBAPIError) and error.connection_invalidated else None
