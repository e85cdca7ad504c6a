"""``/healthz``, ``/readyz`` and ``/metrics`` of one service, on its own port."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared import prometheus
from shared.errors import JobtideError
from shared.http.numbers import HttpNumbers
from shared.http.server import listening
from shared.settings import setting_name

READY_TIMEOUT_S = 2.0


class Health:
    """The health of a service: when each loop last completed an iteration, and checks of its dependencies."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self.http = HttpNumbers(self.registry)
        self._turned: dict[str, tuple[float, float]] = {}
        self._checks: dict[str, Callable[[], Awaitable[object]]] = {}
        self._remarks: set[str] = set()
        self._failing = prometheus.CHECK_FAILING.gauge(self.registry)

    def loop(self, name: str, *, within_s: float) -> Callable[[], None]:
        """Register a loop that must iterate at least every ``within_s``; returns the function it calls on each iteration."""

        def tick() -> None:
            self._turned[name] = (time.monotonic(), within_s)

        tick()
        return tick

    def check(self, name: str, ask: Callable[[], Awaitable[object]]) -> None:
        """Register a real request to a dependency; it raises when the dependency is not usable."""
        self._checks[name] = ask

    def remark(self, name: str, ask: Callable[[], Awaitable[object]]) -> None:
        """Register a check that somebody should see when it fails, although the service is ready."""
        self.check(name, ask)
        self._remarks.add(name)

    def stale_loops(self) -> dict[str, float]:
        """Overdue loops, with the age of their last iteration in seconds."""
        now = time.monotonic()
        return {name: round(now - at, 1) for name, (at, within_s) in self._turned.items() if now - at > within_s}

    async def failing_checks(self) -> dict[str, str]:
        async def ask(name: str) -> tuple[str, str | None]:
            try:
                await asyncio.wait_for(self._checks[name](), READY_TIMEOUT_S)
            except TimeoutError:
                return name, f"no answer in {READY_TIMEOUT_S:g} s"
            except Exception as e:  # noqa: BLE001 - whatever it is, the service is not ready
                return name, (str(e) if isinstance(e, JobtideError) else f"{type(e).__name__}: {e}")[:300]
            return name, None

        results = await asyncio.gather(*(ask(name) for name in self._checks))
        return {name: why for name, why in results if why is not None}

    def is_ready(self, failing: Mapping[str, str]) -> bool:
        """Whether no more than remarks fail."""
        return failing.keys() <= self._remarks

    async def healthz(self, _: web.Request) -> web.Response:
        stale = self.stale_loops()
        return web.json_response({"service": self.service, "healthy": not stale, "stale": stale}, status=503 if stale else 200)

    async def readyz(self, _: web.Request) -> web.Response:
        failing = await self.failing_checks()
        is_ready = self.is_ready(failing)
        return web.json_response({"service": self.service, "ready": is_ready, "failing": failing}, status=200 if is_ready else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        failing = await self.failing_checks()
        for name in self._checks:
            self._failing.labels(name).set(int(name in failing))
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def serve_health(health: Health, address: str) -> AsyncIterator[str]:
    """Serve the three paths; yields the bound address. Raises CannotListen."""
    app = web.Application()
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", health.metrics)
    async with listening(app, address, setting_name(health.service, "health"), health.http) as bound:
        yield bound
