"""Measures the delay of the event loop, caused by blocking calls or by code that holds the GIL."""

import asyncio

from prometheus_client import CollectorRegistry

from shared.prometheus import MetricName

TIMER_S = 0.01
LAG = MetricName("jobtide_gateway_loop_lag_seconds", "Delay of a 10 ms timer of the event loop, seconds.")
MAX_LAG = MetricName("jobtide_gateway_loop_lag_max_seconds", "Maximum delay since the last scrape, seconds.")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = LAG.histogram(registry, _BUCKETS)
        self._max_s = 0.0
        MAX_LAG.gauge(registry).set_function(self._take_max)

    def _take_max(self) -> float:
        largest, self._max_s = self._max_s, 0.0
        return largest

    async def watch(self, stop: asyncio.Event) -> None:
        """Measure until ``stop`` is set."""
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            due = loop.time() + TIMER_S
            await asyncio.sleep(TIMER_S)
            late = max(0.0, loop.time() - due)
            self._lag.observe(late)
            self._max_s = max(self._max_s, late)
