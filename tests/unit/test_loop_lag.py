"""The delay of a blocked event loop is measured."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from services.gateway.frame.loop_lag import LAG, MAX_LAG, LoopLag

BLOCKED_S = 0.08


async def test_the_delay_of_a_blocked_loop_is_reported_once() -> None:
    registry = CollectorRegistry()
    stop = asyncio.Event()
    watching = asyncio.create_task(LoopLag(registry).watch(stop))
    await asyncio.sleep(0)  # the timer is set
    time.sleep(BLOCKED_S)
    stop.set()
    await asyncio.wait_for(watching, 30)
    assert (registry.get_sample_value(MAX_LAG.name) or 0) >= BLOCKED_S - 0.01
    assert registry.get_sample_value(MAX_LAG.name) == 0
    assert registry.get_sample_value(f"{LAG.name}_count") == 1
