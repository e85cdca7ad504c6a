"""Handing back messages of a batch, and duplicates in the intake."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from services.archiver.queue import WorkQueue
from services.ingest.handler import hand_back
from shared.broker.puller import pulling
from shared.broker.streams import INTAKE, Durable, ensure_consumer
from shared.settings import NatsSettings
from tests.support.waiting import until


async def test_acknowledged_messages_do_not_prevent_handing_back_the_rest(nats_client: Client, nats_settings: NatsSettings) -> None:
    queue = Durable(nats_settings.stream(INTAKE), "reader", (nats_settings.job_subjects[0],), ack_wait_s=60.0, max_ack_pending=100)
    js = nats_client.jetstream(timeout=20)
    await ensure_consumer(js, queue)
    for number in range(5):
        await js.publish(nats_settings.job_subjects[0], str(number).encode())
    async with pulling(nats_client, queue.stream, queue.name) as puller, asyncio.timeout(30):
        first: list[bytes] = []
        messages: list[Msg] = []
        while len(messages) < 5:
            messages += await puller.batch(5)
        for message in messages[:2]:
            await message.ack()
        await hand_back(messages)
        while len(first) < 3:  # must happen long before the acknowledgement wait is over
            first += [message.data for message in await puller.batch(5)]
    assert sorted(first) == [b"2", b"3", b"4"]


async def test_a_reader_that_is_stopped_waits_for_no_message(nats_client: Client, nats_settings: NatsSettings) -> None:
    queue = Durable(nats_settings.stream(INTAKE), "reader", (nats_settings.job_subjects[0],), ack_wait_s=60.0, max_ack_pending=100)
    work = WorkQueue(nats_client, queue)
    stop = asyncio.Event()
    await work.bind(stop)
    stop.set()
    for _ in range(5):  # the end of the waiting task; nothing of the broker
        await asyncio.sleep(0)
    fetching = asyncio.create_task(work.fetch(10))
    for _ in range(5):
        await asyncio.sleep(0)
    assert fetching.done()
    assert fetching.result() == []
    await work.release()


async def test_the_intake_does_not_deduplicate_by_ids_of_publishers(nats_client: Client, nats_settings: NatsSettings) -> None:
    js = nats_client.jetstream(timeout=20)
    stream = nats_settings.stream(INTAKE)

    async def is_stored_again() -> bool:
        await js.publish(nats_settings.job_subjects[0], b"x", headers={"Nats-Msg-Id": "counter 1"})
        return (await js.stream_info(stream)).state.messages >= 2

    await until(is_stored_again, 30)
