"""Access to the copy, which is loaded in the background and brought up to date before each query."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import duckdb
import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.prometheus import COLUMN_LOAD_SECONDS, COLUMN_QUESTIONS, COLUMN_ROWS
from services.gateway.reading.columns.follow import Copy, Follower, Moved
from services.gateway.reading.columns.store import ColumnStore
from services.gateway.reading.routing import ColumnsAway, Question
from shared.backoff import Backoff, first_of, sleep_unless
from shared.errors import Unavailable

log = structlog.get_logger()
T = TypeVar("T")

CATCH_UP_S = 2.0  # a query waits this long; with more to catch up on, the database is faster
KEEP_UP_S = 5.0  # keeps the first query after a quiet period fast
UNFIT_PAUSE_S = 600.0  # before another attempt to load jobs that did not fit in memory


class ColumnNumbers:
    """The copy of all jobs in memory."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = COLUMN_ROWS.gauge(registry)
        self.questions = COLUMN_QUESTIONS.counter(registry)
        self.load_seconds = COLUMN_LOAD_SECONDS.gauge(registry)


class Columns:
    """``timeout_s`` is the deadline of a query."""

    def __init__(self, engine: AsyncEngine, numbers: ColumnNumbers, *, memory_mb: int, threads: int, timeout_s: float) -> None:
        self._numbers = numbers
        self._memory_mb = memory_mb
        self._threads = threads
        self._timeout_s = timeout_s
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="columns-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="columns-write")
        self._follower = Follower(engine, self._writer)
        self._copy: Copy | None = None
        self._is_gone = asyncio.Event()  # set when the copy must be loaded again
        self._turn: asyncio.Task[None] | None = None  # the last catch-up
        self._next: asyncio.Task[None] | None = None  # a catch-up that has not begun to read, which callers may join

    @property
    def is_loaded(self) -> bool:
        return self._copy is not None

    # questions

    async def ask(self, question: Question[T]) -> T:
        """Answer a question in a worker thread, from the state of the database at the call or later.

        Raises ColumnsAway; Unavailable when the database cannot be reached, or after the deadline.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                store = await self._fresh()
                reader = store.reader()
                work = asyncio.get_running_loop().run_in_executor(self._readers, reader.answer, question)
                try:
                    answer = await work
                except asyncio.CancelledError:
                    reader.stop()
                    raise
        except ColumnsAway:
            self._numbers.questions.labels("away").inc()
            raise
        except TimeoutError as e:
            raise Unavailable(f"columns: no answer within {self._timeout_s:g} s") from e
        except duckdb.Error as e:
            log.warning("columns_failed", why=f"{type(e).__name__}: {str(e)[:300]}")
            self._numbers.questions.labels("failed").inc()
            raise ColumnsAway from e
        self._numbers.questions.labels("answered").inc()
        return answer

    async def _fresh(self) -> ColumnStore:
        """The store, at least as recent as the database at the call. Raises ColumnsAway, also on timeout."""
        if self._copy is None:
            raise ColumnsAway
        turn = self._join()
        await asyncio.wait([turn], timeout=CATCH_UP_S)
        if not turn.done():
            raise ColumnsAway
        turn.result()
        if self._copy is None:
            raise ColumnsAway
        return self._copy.store

    def _join(self) -> "asyncio.Task[None]":
        """The next catch-up that has not started: callers during a running one share it."""
        if self._next is None:
            self._turn = self._next = asyncio.create_task(self._catch_up_after(self._turn), name="columns catch up")
            self._turn.add_done_callback(lambda turn: turn.cancelled() or turn.exception())  # possibly no caller is left to retrieve it
        return self._next

    async def _catch_up_after(self, turn: "asyncio.Task[None] | None") -> None:
        if turn is not None:
            await asyncio.wait([turn])
        self._next = None
        copy = self._copy
        if copy is None:
            raise ColumnsAway
        try:
            await self._follower.catch_up(copy)
        except Moved as e:
            self._drop()
            raise ColumnsAway from e

    # in the background

    async def run(self, stop: asyncio.Event) -> None:
        """Load, keep up, and load again when needed, until ``stop``."""
        pause = Backoff(first_s=0.5, max_s=30.0)
        try:
            while not stop.is_set():
                try:
                    if self._copy is None:  # after a short outage of the database the copy is still valid
                        await self._load()
                    pause.reset()
                    await self._keep_up(stop)
                except (Unavailable, ColumnsAway, DBAPIError) as e:  # DBAPIError: the tables do not exist yet
                    log.info("columns_wait", why=f"{type(e).__name__}: {str(e)[:300]}")
                    await pause.wait(stop)
                except duckdb.Error as e:
                    self._drop()
                    log.warning("columns_not_loaded", why=f"{type(e).__name__}: {str(e)[:300]}", then="the database answers, slower")
                    await sleep_unless(stop, UNFIT_PAUSE_S)
        finally:
            if self._turn is not None:
                self._turn.cancel()
                await asyncio.wait([self._turn])
            self._drop()
            self._readers.shutdown(wait=False, cancel_futures=True)
            self._writer.shutdown(wait=False)

    async def _load(self) -> None:
        started = time.monotonic()
        copy = Copy(ColumnStore(memory_mb=self._memory_mb, threads=self._threads))
        try:
            await self._follower.load(copy)
            await self._follower.catch_up(copy)
        except Moved:
            self._close(copy)
            return
        except BaseException:
            self._close(copy)
            raise
        self._copy = copy
        self._is_gone.clear()
        took_s = time.monotonic() - started
        self._numbers.load_seconds.set(took_s)
        self._numbers.rows.set(copy.store.rows)
        log.info("columns_loaded", jobs=copy.store.rows, seconds=round(took_s, 2))

    async def _keep_up(self, stop: asyncio.Event) -> None:
        """Wait until the copy must be loaded again."""
        while self._copy is not None and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(first_of(stop, self._is_gone), KEEP_UP_S)
                continue
            with suppress(ColumnsAway):
                store = await self._fresh()
                self._numbers.rows.set(store.rows)

    def _drop(self) -> None:
        copy, self._copy = self._copy, None
        self._is_gone.set()
        self._numbers.rows.set(0)
        if copy is not None:
            self._close(copy)

    def _close(self, copy: Copy) -> None:
        """Closes in the writer's thread, after pending writes: a busy connection cannot be closed."""
        self._writer.submit(copy.store.close)
