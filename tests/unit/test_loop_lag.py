"""What blocks the event loop is seen."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from services.gateway.frame.loop_lag import LAG, MOST_LAG, LoopLag

BLOCKED_S = 0.08


async def test_a_blocked_loop_is_seen_until_it_was_read() -> None:
    registry = CollectorRegistry()
    stop = asyncio.Event()
    watching = asyncio.create_task(LoopLag(registry).watch(stop))
    await asyncio.sleep(0)  # the timer is set
    time.sleep(BLOCKED_S)
    stop.set()
    await asyncio.wait_for(watching, 5)
    assert (registry.get_sample_value(MOST_LAG.name) or 0) >= BLOCKED_S - 0.01
    assert registry.get_sample_value(MOST_LAG.name) == 0
    assert registry.get_sample_value(f"{LAG.name}_count") == 1
