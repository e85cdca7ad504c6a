"""Each service process reports its health on the broker, so that gateways show it without an address of any service.

Reports are plain messages: nobody stores them, and a service whose reports nobody receives works as before. A service that stands
still, or that lost the broker, is recognised by its silence.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nats.aio.client import Client
from nats.errors import Error as NatsError
from pydantic import BaseModel, Field

from shared.health import READY_TIMEOUT_S, Health
from shared.settings import NatsSettings

EVERY_S = 10.0
SILENT_AFTER_S = 35.0  # three reports may be late or lost
FLUSH_S = 1
MAX_BYTES = 16 * 1024
_MAX_PROBLEMS = 30


class HealthReport(BaseModel):
    """``problems`` are the failing checks and the overdue loops by name; ``has_ended`` marks the last report of an orderly end."""

    service: str = Field(max_length=40)
    process: str = Field(max_length=300, description="Host and process id.")
    started: float = Field(description="Unix seconds.")
    is_ready: bool
    problems: dict[str, str] = Field({}, max_length=_MAX_PROBLEMS)
    has_ended: bool = False


def report_subject(nats: NatsSettings, service: str) -> str:
    return f"{nats.prefix}.health.{service}"


@asynccontextmanager
async def reporting(client: Client, nats: NatsSettings, health: Health, *, every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Report every ``every_s`` while the context is open, and at its end that the process has ended."""
    process, started, subject = f"{socket.gethostname()}:{os.getpid()}", time.time(), report_subject(nats, health.service)

    async def send(report: HealthReport) -> None:
        if client.is_connected:  # while it is not, nats-py would collect the reports and send old ones later
            with suppress(NatsError, OSError):
                await client.publish(subject, report.model_dump_json().encode())

    async def repeat() -> None:
        while True:
            failing = await health.failing_checks()
            stale = {f"loop {name}": f"has not run for {age_s:.0f} s" for name, age_s in health.stale_loops().items()}
            is_ready = not stale and health.is_ready(failing)
            problems = dict(list((failing | stale).items())[:_MAX_PROBLEMS])
            report = HealthReport(service=health.service, process=process, started=started, is_ready=is_ready, problems=problems)
            await send(report)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(repeat(), name="health reports")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=READY_TIMEOUT_S)
        await send(HealthReport(service=health.service, process=process, started=started, is_ready=False, has_ended=True))
        with suppress(NatsError, OSError, TimeoutError):
            await client.flush(FLUSH_S)
