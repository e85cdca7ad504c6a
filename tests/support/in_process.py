"""Services inside the test's event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

UP_S = 40.0


@asynccontextmanager
async def running_in_process(start: Callable[[asyncio.Event, Callable[..., None]], Any]) -> AsyncIterator[dict[str, str]]:
    """Run one service until the block ends; yields the addresses it reported."""
    stop, up = asyncio.Event(), asyncio.Event()
    addresses: dict[str, str] = {}

    def report(_: str, **found: str) -> None:
        addresses.update(found)
        up.set()

    service = asyncio.ensure_future(start(stop, report))
    waiting = asyncio.ensure_future(up.wait())
    try:
        await asyncio.wait({service, waiting}, timeout=UP_S, return_when=asyncio.FIRST_COMPLETED)
        if service.done():
            service.result()
        assert up.is_set(), "the service did not come up"
        yield addresses
    finally:
        waiting.cancel()
        stop.set()
        await asyncio.wait_for(service, UP_S)
