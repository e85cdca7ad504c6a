"""Limits and special messages of the broker."""

import asyncio
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from services.archiver.budget import MemoryBudget
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.puller import pulling
from shared.broker.streams import INTAKE, Durable, ensure_consumer, provision
from shared.errors import Refused, UserError
from shared.settings import NatsSettings
from tests.support.builders import job_started


async def test_an_event_just_below_the_limit_is_refused_before_the_broker_closes_the_connection(
    nats_client: Client, nats_settings: NatsSettings
) -> None:
    publisher = Publisher(nats_client, nats_settings.prefix)
    empty = job_started(1).model_copy(update={"meta_data": {"jobScript": ""}})
    room = nats_client.max_payload - len(Envelope(empty, "id", "/test", datetime.now(UTC)).body())
    for left in (0, 100):
        event = empty.model_copy(update={"meta_data": {"jobScript": "x" * (room - left)}})
        with pytest.raises(Refused, match="larger"):
            await publisher.publish([Envelope(event, f"id-{left}", "/test", datetime.now(UTC))], deadline_s=30)
    assert nats_client.is_connected
    assert await publisher.publish([Envelope(job_started(2), "small", "/test", datetime.now(UTC))], deadline_s=30)


@pytest.mark.parametrize("status", ["503", "408", "409"])
async def test_an_empty_message_with_a_status_header_is_a_message(nats_client: Client, nats_settings: NatsSettings, status: str) -> None:
    queue = Durable(nats_settings.stream(INTAKE), "reader", (nats_settings.job_subjects[0],), 30.0, 100)
    js = nats_client.jetstream(timeout=30)
    await ensure_consumer(js, queue)
    await js.publish(nats_settings.job_subjects[0], b"", headers={"Status": status, "Description": "Consumer Deleted"})
    async with pulling(nats_client, queue.stream, queue.name) as puller:
        (message,) = await puller.batch(10)
    assert message.subject == nats_settings.job_subjects[0]


async def test_the_first_id_of_jobs_cannot_be_raised_when_events_exist(nats_client: Client, nats_settings: NatsSettings) -> None:
    later = nats_settings.model_copy(update={"first_job_id": 1000})
    with pytest.raises(UserError, match=r"FIRST_JOB_ID: .* begins at 1,"):
        await provision(nats_client, later)
    assert await provision(nats_client, nats_settings) == []


async def test_a_large_request_is_not_overtaken_forever() -> None:
    budget = MemoryBudget(10)
    held = await budget.acquire(1)
    large = asyncio.create_task(budget.acquire(10))
    await asyncio.sleep(0)
    small = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    await budget.release(held)
    assert await asyncio.wait_for(large, 30) == 10
    assert not small.done()
    await budget.release(10)
    assert await asyncio.wait_for(small, 30) == 1
