"""Publishes a workload like an adapter that repeats each message until it is acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from shared.settings import NatsSettings
from tests.support.workload import Message, slices

SLICE = 25
ACK_S = 3.0


async def publish_accepted(settings: NatsSettings, messages: Sequence[Message], *, over_s: float = 0.0, deadline_s: float = 60.0) -> None:
    """Publish in order, evenly over ``over_s`` seconds; repeat each message until it is acknowledged, through restarts of the broker."""
    started = time.monotonic()
    client = await nats.connect(settings.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quiet)
    try:
        done = 0
        for part in slices(messages, SLICE):
            await _publish_part(client, settings, part, started + over_s + deadline_s)
            done += len(part)
            ahead_s = started + over_s * done / len(messages) - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
    finally:
        await asyncio.wait_for(client.close(), 30)


async def _publish_part(client: Client, settings: NatsSettings, part: Sequence[Message], give_up: float) -> None:
    js = client.jetstream(timeout=ACK_S)
    missing = list(part)
    while missing:
        results = await asyncio.gather(*(_publish(js, settings, message) for message in missing))
        missing = [message for message, is_stored in zip(missing, results, strict=True) if not is_stored]
        assert time.monotonic() < give_up, f"the broker did not take {len(missing)} messages"


async def _publish(js: JetStreamContext, settings: NatsSettings, message: Message) -> bool:
    subject = settings.job_subjects[0] if message.kind == "job" else settings.node_subjects[0]
    try:
        await js.publish(subject, message.data, headers={"Nats-Msg-Id": message.id})
    except (NatsError, APIError, OSError, TimeoutError):
        await asyncio.sleep(0.05)
        return False
    return True


async def _quiet(_: Exception) -> None:
    """These tests expect lost connections."""


@asynccontextmanager
async def load(settings: NatsSettings, messages: Sequence[Message], *, over_s: float) -> AsyncIterator[asyncio.Task[None]]:
    """Publish in the background while the block runs; on exit all messages have been accepted."""
    task = asyncio.create_task(publish_accepted(settings, messages, over_s=over_s))
    try:
        yield task
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
