"""A task group that repeats cancellations until they arrive."""

import asyncio
from collections.abc import Collection, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN_S = 3.0  # longer than the cleanup of any cancelled loop


class Loops(asyncio.TaskGroup):
    """Like its base, but cancels again every task that is still running some time after its cancellation.

    ``asyncio.wait_for`` before Python 3.12, and database drivers, can lose a cancellation: the loop would go on, and the
    process, whose other loop failed, would never end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._running: set[asyncio.Task[Any]] = set()

    def create_task(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = super().create_task(coro, name=name, context=context)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is not None:
            self._look_again()
        await super().__aexit__(kind, error, traceback)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._look_again()

    def _look_again(self) -> None:
        asyncio.get_running_loop().call_later(AGAIN_S, self._cancel_again)

    def _cancel_again(self) -> None:
        if self._running:
            for task in self._running:
                task.cancel()
            self._look_again()


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended, ignoring their results."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_S)
