"""Reading: a function over a connection, which runs in one transaction.

On PostgreSQL it runs in the event loop, over asyncpg. SQLite answers most statements faster than two threads hand them over
to each other, so there the whole function runs in a thread, over a connection without any asynchronous layer.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.errors import away_as_unavailable
from shared.errors import Unavailable

T = TypeVar("T")
_STEPS = 1000  # of SQLite's machine, after which it looks whether it shall stop


class SqliteReaders(AsyncEngine):
    """An engine that also has connections of its own for ``read``, one for each of some threads."""

    __slots__ = ("_blocking", "_threads", "_timeout_s")

    def __init__(self, engine: AsyncEngine, blocking: Engine, connections: int, timeout_s: float) -> None:
        """``blocking`` is an engine over the same file."""
        super().__init__(engine.sync_engine)
        self._blocking = blocking
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="sqlite-read")
        self._timeout_s = timeout_s

    async def read(self, work: Callable[[Connection], T]) -> T:
        reading = _Reading(self._blocking, work)
        answer = asyncio.get_running_loop().run_in_executor(self._threads, reading.run)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError as e:
            raise Unavailable(f"database: no answer within {self._timeout_s:g} s") from e
        finally:
            if not answer.done() or answer.cancelled():
                reading.stop()

    async def dispose(self, close: bool = True) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._blocking.dispose(close)
        await super().dispose(close)


class _Reading(Generic[T]):
    """One function at work in a thread, which another thread may stop."""

    def __init__(self, engine: Engine, work: Callable[[Connection], T]) -> None:
        self._engine = engine
        self._work = work
        self._lock = threading.Lock()
        self._driver: Any = None
        self._is_stopped = False

    def run(self) -> T:
        with self._engine.connect() as connection:
            with self._lock:
                if self._is_stopped:
                    raise Unavailable("database: nobody waits for the answer any more")
                self._driver = connection.connection.driver_connection
            try:
                with connection.begin():
                    return self._work(connection)
            finally:
                with self._lock:
                    self._driver = None
                if self._is_stopped:
                    connection.invalidate()  # every statement over it would be stopped

    def stop(self) -> None:
        """The statement at work ends with an error, and so does the next one."""
        with self._lock:
            self._is_stopped = True
            if self._driver is not None:
                self._driver.set_progress_handler(lambda: 1, _STEPS)
                self._driver.interrupt()


async def read(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """What ``work`` returns, which must hold nothing of the connection. Raises Unavailable, also when time is up."""
    with away_as_unavailable():
        if isinstance(engine, SqliteReaders):
            return await engine.read(work)
        async with engine.begin() as connection:
            return await connection.run_sync(work)
