"""Finding the original message of a replay."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.ingest.originals import original_of
from shared.broker.envelope import REPLAY_OF
from shared.broker.puller import pulling
from shared.broker.streams import INTAKE, Durable, ensure_consumer
from shared.settings import NatsSettings
from tests.support.waiting import until


async def original_sequences(
    client: Client, nats: NatsSettings, *messages: tuple[bytes, dict[str, str] | None], subject: str = ""
) -> list[int | None]:
    """Publish messages, read them like ingest, and return the sequences of their originals. ``subject`` is that of the last one."""
    js, stream = client.jetstream(timeout=20), nats.stream(INTAKE)
    queue = Durable(stream, "reader", (">",), ack_wait_s=60.0, max_ack_pending=100)
    for number, (data, headers) in enumerate(messages, 1):
        is_last = number == len(messages)
        await js.publish(subject if subject and is_last else nats.job_subjects[0], data, headers=headers)
    await ensure_consumer(js, queue)
    async with pulling(client, stream, queue.name) as puller:
        found = await until(lambda: puller.batch(len(messages)))
        originals = [await original_of(client, stream, message) for message in found]
    return [None if original is None else original.sequence for original in originals]


async def test_a_replay_repeats_the_message_that_it_names(nats_client: Client, nats_settings: NatsSettings) -> None:
    assert await original_sequences(nats_client, nats_settings, (b"x", None), (b"y", None), (b"x", {REPLAY_OF: "1"})) == [None, None, 1]


async def test_the_time_of_an_original_is_the_one_that_its_own_events_had(nats_client: Client, nats_settings: NatsSettings) -> None:
    """To the microsecond, for a hundred messages, because message ids contain it."""
    js, stream = nats_client.jetstream(timeout=20), nats_settings.stream(INTAKE)
    for _ in range(100):
        await js.publish(nats_settings.job_subjects[0], b"x")
    for number in range(1, 101):
        await js.publish(nats_settings.job_subjects[0], b"x", headers={REPLAY_OF: str(number)})
    queue = Durable(stream, "reader", (">",), ack_wait_s=60.0, max_ack_pending=1000)
    await ensure_consumer(js, queue)
    messages: list[Msg] = []
    async with pulling(nats_client, stream, queue.name) as puller, asyncio.timeout(30):
        while len(messages) < 200:
            messages += await puller.batch(200)
        times = [message.metadata.timestamp for message in messages[:100]]
        originals = [await original_of(nats_client, stream, message) for message in messages[100:]]
    assert [original.received_at for original in originals if original is not None] == times


@pytest.mark.parametrize("named", ["", "x", "0", "-1", "2", "3", "4", "99999999999999999999", "²"])
async def test_a_header_that_names_no_identical_earlier_message_is_ignored(
    nats_client: Client, nats_settings: NatsSettings, named: str
) -> None:
    """Adapters may send any header, which must not give a message the time or position of another one."""
    messages = ((b"x", None), (b"y", None), (b"x", {REPLAY_OF: named}))
    assert (await original_sequences(nats_client, nats_settings, *messages))[-1] is None


async def test_the_same_bytes_on_another_subject_are_a_different_message(nats_client: Client, nats_settings: NatsSettings) -> None:
    messages = ((b"x", None), (b"x", {REPLAY_OF: "1"}))
    assert await original_sequences(nats_client, nats_settings, *messages, subject=nats_settings.node_subjects[0]) == [None, None]


async def test_a_replay_whose_original_has_expired_is_an_ordinary_message(nats_client: Client, nats_settings: NatsSettings) -> None:
    js, stream = nats_client.jetstream(timeout=20), nats_settings.stream(INTAKE)
    await js.publish(nats_settings.job_subjects[0], b"x")
    await js.purge_stream(stream)
    assert await original_sequences(nats_client, nats_settings, (b"x", {REPLAY_OF: "1"})) == [None]
