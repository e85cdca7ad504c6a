"""A loop that loses a cancellation does not prevent its group from ending."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared import loops
from shared.loops import Loops, end


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "AGAIN_S", 0.05)


async def _deaf() -> None:
    """A loop that loses its first cancellation."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def _fails() -> None:
    await asyncio.sleep(0)
    raise ValueError("boom")


async def _beside_a_failing_task() -> None:
    async with Loops() as group:
        group.create_task(_deaf())
        group.create_task(_fails())


async def _beside_a_failing_block() -> None:
    async with Loops() as group:
        group.create_task(_deaf())
        await _fails()


@pytest.mark.parametrize("work", [_beside_a_failing_task, _beside_a_failing_block])
async def test_a_failure_ends_a_loop_that_lost_its_cancellation(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(work(), 30)
    assert [str(error) for error in caught.value.exceptions] == ["boom"]


async def test_cancellation_is_repeated_until_tasks_end() -> None:
    task = asyncio.create_task(_deaf())
    await asyncio.sleep(0)
    await asyncio.wait_for(end([task]), 30)
    assert task.cancelled()
