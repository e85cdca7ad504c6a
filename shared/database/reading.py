"""Reads: a function over a connection, run in one transaction.

On PostgreSQL it runs in the event loop, over asyncpg. SQLite answers most statements faster than two threads hand them over
to each other, so there the whole function runs in a thread, over a connection without any asynchronous layer.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.errors import away_as_unavailable
from shared.errors import Unavailable

T = TypeVar("T")
_STEPS = 100_000  # SQLite instructions (some milliseconds) between checks whether the caller still waits
_TURN_S = 0.1  # after this, the next reader runs concurrently


class SqliteReaders(AsyncEngine):
    """An engine with additional connections for ``read``, one per thread."""

    __slots__ = ("_blocking", "_open", "_threads", "_timeout_s", "_turns")

    def __init__(self, engine: AsyncEngine, blocking: Engine, connections: int, timeout_s: float) -> None:
        """``blocking`` is an engine over the same file."""
        super().__init__(engine.sync_engine)
        self._blocking = blocking
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="sqlite-read")
        self._timeout_s = timeout_s
        self._open: set[_Reading[Any]] = set()
        self._turns = _Turns()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Raises Unavailable on timeout or after the engine was disposed of, and whatever ``work`` and the database raise."""
        reading = _Reading(self._blocking, self._turns, work)
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, reading.run)
        except RuntimeError as e:  # the executor was shut down
            raise Unavailable("database: closed") from e
        self._open.add(reading)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError as e:
            raise Unavailable(f"database: no answer within {self._timeout_s:g} s") from e
        finally:
            self._open.discard(reading)
            reading.is_wanted = False

    async def dispose(self, close: bool = True) -> None:
        for reading in self._open:
            reading.is_wanted = False
        self._threads.shutdown(wait=False)
        self._blocking.dispose(close)
        await super().dispose(close)


class _Reading(Generic[T]):
    """One function running in a thread. Its statement is interrupted once the caller no longer waits."""

    def __init__(self, engine: Engine, turns: "_Turns", work: Callable[[Connection], T]) -> None:
        self._engine = engine
        self._turns = turns
        self._work = work
        self.is_wanted = True

    def run(self) -> T:
        with self._turns.next():
            if not self.is_wanted:
                raise Unavailable("database: nobody waits for the answer any more")
            with self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.set_progress_handler(lambda: not self.is_wanted, _STEPS)
                try:
                    with connection.begin():
                        return self._work(connection)
                finally:
                    driver.set_progress_handler(None, 0)


class _Turns:
    """Runs quick reads one after the other: every row needs the GIL, and threads that pass it around are slower than one.

    A slow read yields to the next waiting one and continues concurrently.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._taken_by: object | None = None

    @contextmanager
    def next(self) -> Iterator[None]:
        me = object()
        with self._condition:
            while self._taken_by is not None:
                if self._is_slow(self._taken_by):
                    break
            self._taken_by = me
        try:
            yield
        finally:
            with self._condition:
                if self._taken_by is me:
                    self._taken_by = None
                    self._condition.notify()

    def _is_slow(self, reader: object) -> bool:
        """Wait for the reader that has the turn. False once another one has it, or none."""
        return not self._condition.wait_for(lambda: self._taken_by is not reader, _TURN_S)


async def read(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Run ``work``, whose result must not refer to the connection. Raises Unavailable, also on timeout."""
    with away_as_unavailable():
        if isinstance(engine, SqliteReaders):
            return await engine.read(work)
        async with engine.begin() as connection:
            return await connection.run_sync(work)
