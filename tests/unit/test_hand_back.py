"""Handing back messages of a batch, and what the intake takes for a duplicate."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from services.ingest.handler import hand_back
from shared.broker.puller import pulling
from shared.broker.streams import INTAKE, Durable, ensure_consumer
from shared.settings import NatsSettings
from tests.support.waiting import until


async def test_acknowledged_messages_do_not_keep_the_rest_from_being_handed_back(nats_client: Client, nats_settings: NatsSettings) -> None:
    queue = Durable(nats_settings.stream(INTAKE), "reader", (nats_settings.job_subjects[0],), ack_wait_s=60.0, max_ack_pending=100)
    js = nats_client.jetstream(timeout=5)
    await ensure_consumer(js, queue)
    for number in range(5):
        await js.publish(nats_settings.job_subjects[0], str(number).encode())
    async with pulling(nats_client, queue.stream, queue.name) as puller, asyncio.timeout(20):
        first: list[bytes] = []
        messages: list[Msg] = []
        while len(messages) < 5:
            messages += await puller.batch(5)
        for message in messages[:2]:
            await message.ack()
        await hand_back(messages)
        while len(first) < 3:  # long before the acknowledgement wait is over
            first += [message.data for message in await puller.batch(5)]
    assert sorted(first) == [b"2", b"3", b"4"]


async def test_the_intake_forgets_ids_of_publishers_at_once(nats_client: Client, nats_settings: NatsSettings) -> None:
    js = nats_client.jetstream(timeout=5)
    stream = nats_settings.stream(INTAKE)

    async def is_stored_again() -> bool:
        await js.publish(nats_settings.job_subjects[0], b"x", headers={"Nats-Msg-Id": "counter 1"})
        return (await js.stream_info(stream)).state.messages >= 2

    await until(is_stored_again, 5)
