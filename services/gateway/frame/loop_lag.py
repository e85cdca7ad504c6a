"""How late the event loop is: whatever blocks it, or holds the interpreter's lock, shows here."""

import asyncio

from prometheus_client import CollectorRegistry

from shared.metrics import MetricName

TIMER_S = 0.01
LAG = MetricName("jobtide_gateway_loop_lag_seconds", "How late a timer of the event loop fired that was set for 10 ms, seconds.")
MOST_LAG = MetricName("jobtide_gateway_loop_lag_most_seconds", "The latest that timer fired since this value was last read, seconds.")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = LAG.histogram(registry, _BUCKETS)
        self._most_s = 0.0
        MOST_LAG.gauge(registry).set_function(self._take_most)

    def _take_most(self) -> float:
        most, self._most_s = self._most_s, 0.0
        return most

    async def watch(self, stop: asyncio.Event) -> None:
        """Until ``stop``."""
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            due = loop.time() + TIMER_S
            await asyncio.sleep(TIMER_S)
            late = max(0.0, loop.time() - due)
            self._lag.observe(late)
            self._most_s = max(self._most_s, late)
