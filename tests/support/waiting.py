"""Waiting for a condition instead of a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

DEADLINE_S = 30.0
FIRST_PAUSE_S = 0.01
MAX_PAUSE_S = 0.25


@overload
async def until(condition: Callable[[], Awaitable[T]], deadline_s: float = DEADLINE_S, what: str = "") -> T: ...
@overload
async def until(condition: Callable[[], T], deadline_s: float = DEADLINE_S, what: str = "") -> T: ...
async def until(condition: Callable[[], object], deadline_s: float = DEADLINE_S, what: str = "") -> object:
    """Evaluate ``condition`` until it is true, and return its value. It may be a coroutine function.

    Raises AssertionError with the last value after ``deadline_s``.
    """
    give_up = time.monotonic() + deadline_s
    pause_s = FIRST_PAUSE_S
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(
                f"not within {deadline_s:g} s: {what or getattr(condition, '__qualname__', condition)}; last answer {value!r}"
            )
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, MAX_PAUSE_S)


def until_blocking(condition: Callable[[], T], deadline_s: float = DEADLINE_S, what: str = "") -> T:
    """Like ``until``, for fixtures without an event loop."""
    give_up = time.monotonic() + deadline_s
    pause_s = FIRST_PAUSE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {deadline_s:g} s: {what or condition}; last answer {value!r}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, MAX_PAUSE_S)


async def pause() -> None:
    """The pause between two attempts."""
    await asyncio.sleep(0.1)
