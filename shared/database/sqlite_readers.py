"""Reads of SQLite in threads, over connections without any asynchronous layer.

SQLite answers most statements faster than they can be passed between two threads, so a whole function runs in one thread.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import Unavailable

T = TypeVar("T")
_STEPS = 100_000  # SQLite instructions (some milliseconds) between checks whether the caller still waits
_SLOW_AFTER_S = 0.1  # after this, the next reader runs concurrently


class SqliteReaders(AsyncEngine):
    """An engine with additional connections for ``shared.database.engine.read``, one per thread."""

    __slots__ = ("_blocking", "_gate", "_open", "_threads", "_timeout_s")

    def __init__(self, engine: AsyncEngine, blocking: Engine, connections: int, timeout_s: float) -> None:
        """``blocking`` is an engine over the same file."""
        super().__init__(engine.sync_engine)
        self._blocking = blocking
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="sqlite-read")
        self._timeout_s = timeout_s
        self._open: set[_Reading[Any]] = set()
        self._gate = _Gate()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Raises Unavailable on timeout or after the engine was disposed of, and whatever ``work`` and the database raise."""
        reading = _Reading(self._blocking, self._gate, work)
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

    def __init__(self, engine: Engine, gate: "_Gate", work: Callable[[Connection], T]) -> None:
        self._engine = engine
        self._gate = gate
        self._work = work
        self.is_wanted = True

    def run(self) -> T:
        with self._gate.entered():
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


class _Gate:
    """Runs quick reads one after the other: every row needs the GIL, and threads that pass it around are slower than one.

    A slow read yields to the next waiting one and continues concurrently.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._taken_by: object | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
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
        """Wait for the reader inside the gate. False once it has left."""
        return not self._condition.wait_for(lambda: self._taken_by is not reader, _SLOW_AFTER_S)
