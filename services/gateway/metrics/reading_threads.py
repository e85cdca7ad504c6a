"""Threads that read one place of the archive. A place that does not answer holds up neither others nor its callers for long."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shared.archive import ArchiveUnavailable

T = TypeVar("T")

CHECK_S = 0.5


class ReadingThreads:
    """A thread in a system call cannot be ended: one that is overdue is left alone, and its caller told that the place is unavailable.

    When all threads are overdue, so are the calls that wait for one, and further calls fail at once until a thread returns.
    """

    def __init__(self, address: str, threads: int) -> None:
        self._address = address
        self._number = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="archive-read")
        self._due: dict[object, float] = {}  # deadlines of the calls that have begun

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], T], within_s: float) -> T:
        """The time counts from the beginning of the work. Raises ArchiveUnavailable."""
        token, context = object(), contextvars.copy_context()

        def timed() -> T:
            self._due[token] = time.monotonic() + within_s
            try:
                return context.run(work)
            finally:
                del self._due[token]

        if self._is_stuck():
            raise self._no_answer(within_s)
        running = asyncio.wrap_future(self._threads.submit(timed))
        try:
            while not (await asyncio.wait({running}, timeout=CHECK_S))[0]:
                due = self._due.get(token)
                if self._is_stuck() if due is None else time.monotonic() > due:
                    raise self._no_answer(within_s)
            return running.result()
        finally:
            running.cancel()

    def _is_stuck(self) -> bool:
        dues = list(self._due.values())
        return len(dues) >= self._number and time.monotonic() > max(dues)

    def _no_answer(self, within_s: float) -> ArchiveUnavailable:
        return ArchiveUnavailable(f"{self._address}: no answer within {within_s:g} s")
