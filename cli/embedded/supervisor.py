"""Keeps the services of one process running; each is restarted on its own, after growing pauses."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from shared.backoff import Backoff
from shared.errors import CannotListen, JobtideError, LogMismatch, UserError
from shared.service import Report, leaves

log = structlog.get_logger()

HEALTHY_AFTER_S = 30.0  # a service that ran this long is restarted with a short pause
STOP_GRACE_S = 2.5  # then services are cancelled; closing their connections takes up to 2 s more

Start = Callable[[asyncio.Event, Report], Awaitable[None]]


@dataclass(slots=True)
class Addresses:
    """Addresses reported by the services; ``changed`` is called after each report."""

    changed: Callable[[], None] = lambda: None
    by_service: dict[str, dict[str, str]] = field(default_factory=dict)

    def report(self, service: str, **addresses: str) -> None:
        self.by_service[service] = addresses
        self.changed()


async def supervise(service: str, start: Start, stop: asyncio.Event, addresses: Addresses) -> None:
    """Run one service until ``stop``. Raises UserError and LogMismatch, which a restart cannot fix."""
    pause = Backoff(first_s=0.5, max_s=30.0)
    while not stop.is_set():
        started = time.monotonic()
        try:
            await start(stop, addresses.report)
            if stop.is_set():
                return
            error: BaseException | None = None
        except Exception as e:
            inner = leaves(e)
            for leaf in inner:
                # The port was free when the site started, so a program that took it during a restart may release it again.
                if isinstance(leaf, UserError | LogMismatch) and not isinstance(leaf, CannotListen):
                    raise leaf from e
            if stop.is_set():
                return
            error = inner[0]
        if time.monotonic() - started > HEALTHY_AFTER_S:
            pause.reset()
        unexpected = error is not None and not isinstance(error, JobtideError)
        log.error(
            "service_failed",
            service=service,
            why="ended by itself" if error is None else str(error) or repr(error),
            exc_info=error if unexpected else None,
        )
        await pause.wait(stop)


async def supervise_all(services: dict[str, Start], stop: asyncio.Event, addresses: Addresses) -> None:
    """Run all services until ``stop``, then allow ``STOP_GRACE_S`` for shutdown. The first fatal error stops all and is raised."""
    tasks = [asyncio.create_task(supervise(name, start, stop, addresses), name=name) for name, start in services.items()]
    stopping = asyncio.create_task(stop.wait())
    try:
        waiting: set[asyncio.Task[None]] = set(tasks)
        while waiting and not stop.is_set():
            done, _ = await asyncio.wait({*waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() for task in done if task is not stopping and not task.cancelled()):
                stop.set()
            waiting -= done
        _, late = await asyncio.wait(tasks, timeout=STOP_GRACE_S)
        for task in late:
            log.warning("service_cancelled", service=task.get_name(), after_s=STOP_GRACE_S)
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        stopping.cancel()
        for task in tasks:
            task.cancel()
    for result in results:
        if isinstance(result, Exception):
            raise result
