"""Unread messages of the intake: their age is visible, and expired ones become a rejection."""

import asyncio

import pytest
from nats.aio.client import Client
from prometheus_client import CollectorRegistry

from services.ingest.app import durable
from services.ingest.backlog import BacklogWatch
from services.ingest.progress import Progress
from services.ingest.settings import IngestSettings, Settings
from shared.broker.cursor import log_state, read_from
from shared.broker.publisher import Publisher
from shared.broker.puller import pulling
from shared.broker.streams import INTAKE, REJECTIONS, ensure_consumer, provision
from shared.domain import reasons
from shared.domain.events import IntakeRejected
from shared.domain.recorded import Recorded
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings
from tests.support.waiting import until


def aged(nats: NatsSettings, seconds: float) -> NatsSettings:
    return nats.model_copy(update={"intake_max_age_days": seconds / 86_400})


async def set_age(client: Client, nats: NatsSettings, seconds: float) -> None:
    """Delete messages, as an operator can with the broker's tools."""
    js = client.jetstream(timeout=20)
    config = (await js.stream_info(nats.stream(INTAKE))).config
    await js.update_stream(config.evolve(max_age=seconds))


async def rejections(client: Client, nats: NatsSettings) -> list[IntakeRejected]:
    stream = nats.stream(REJECTIONS)
    last = (await log_state(client, stream)).last_sequence
    found: list[IntakeRejected] = []
    async with read_from(client, stream, 1) as cursor:
        seen = 0
        while seen < last:
            for record in await cursor.batch(100):
                assert isinstance(record, Recorded)
                assert isinstance(record.event, IntakeRejected)
                seen = record.sequence
                found.append(record.event)
    return found


@pytest.fixture
async def backlog(nats_client: Client, nats_settings: NatsSettings) -> tuple[BacklogWatch, CollectorRegistry]:
    """The backlog of an existing consumer with 20 unread messages."""
    queue = durable(Settings(nats_settings, IngestSettings()))
    await ensure_consumer(nats_client.jetstream(timeout=20), queue)
    for number in range(20):
        await nats_client.jetstream().publish(nats_settings.job_subjects[0], str(number).encode())
    registry = CollectorRegistry()
    return BacklogWatch(
        nats_client, queue, Publisher(nats_client, nats_settings.prefix), Progress(nats_client, nats_settings, queue), registry
    ), registry


def gauge(registry: CollectorRegistry) -> float:
    value = registry.get_sample_value("jobtide_ingest_oldest_unread_seconds")
    assert value is not None
    return value


async def test_the_age_of_the_oldest_unread_message_is_shown_and_half_of_its_life_is_not_ready(
    nats_client: Client, nats_settings: NatsSettings, backlog: tuple[BacklogWatch, CollectorRegistry]
) -> None:
    watcher, registry = backlog
    await watcher.require_young()
    await set_age(nats_client, nats_settings, 3.0)

    async def is_old() -> bool:
        try:
            await watcher.require_young()
        except Unavailable as e:
            return "expires after 3 s" in str(e)
        return False

    await until(is_old)
    assert 1.5 < gauge(registry) < 3.5


async def test_acknowledged_messages_have_no_age(
    nats_client: Client, nats_settings: NatsSettings, backlog: tuple[BacklogWatch, CollectorRegistry]
) -> None:
    watcher, registry = backlog
    async with pulling(nats_client, nats_settings.stream(INTAKE), "ingest") as puller, asyncio.timeout(30):
        done = 0
        while done < 20:
            for message in await puller.batch(20):
                await message.ack_sync()
                done += 1

    async def has_none() -> bool:
        return (await watcher.look()).age_s == 0.0

    await until(has_none)
    assert gauge(registry) == 0.0


async def test_messages_that_expired_unread_are_one_rejection_with_their_range(
    nats_client: Client, nats_settings: NatsSettings, backlog: tuple[BacklogWatch, CollectorRegistry]
) -> None:
    watcher, _ = backlog
    await watcher.advance()
    assert await rejections(nats_client, nats_settings) == []
    await set_age(nats_client, nats_settings, 0.2)

    async def is_empty() -> bool:
        return (await nats_client.jetstream().stream_info(nats_settings.stream(INTAKE))).state.messages == 0

    await until(is_empty, 20.0)
    for _ in range(2):
        await watcher.advance()
    (rejected,) = await rejections(nats_client, nats_settings)
    assert (rejected.code, rejected.sequence) == (reasons.EXPIRED_UNREAD, 1)
    assert "1 to 20" in rejected.text


async def test_a_new_consumer_does_not_report_messages_read_before_it(nats_client: Client, nats_settings: NatsSettings) -> None:
    js = nats_client.jetstream(timeout=20)
    for number in range(5):
        await js.publish(nats_settings.job_subjects[0], str(number).encode())
    await js.purge_stream(nats_settings.stream(INTAKE))
    queue = durable(Settings(nats_settings, IngestSettings()))
    await ensure_consumer(js, queue)
    publisher, progress = Publisher(nats_client, nats_settings.prefix), Progress(nats_client, nats_settings, queue)
    await BacklogWatch(nats_client, queue, publisher, progress, CollectorRegistry()).advance()
    assert await rejections(nats_client, nats_settings) == []


async def test_provision_does_not_lower_the_age_below_the_backlog(
    nats_client: Client, nats_settings: NatsSettings, backlog: tuple[BacklogWatch, CollectorRegistry]
) -> None:
    watcher, _ = backlog

    async def is_older_than_a_second() -> bool:
        return (await watcher.look()).age_s > 1.1

    await until(is_older_than_a_second)
    with pytest.raises(UserError, match="ingest has not finished messages"):
        await provision(nats_client, aged(nats_settings, 1.0))
    assert (await nats_client.jetstream().stream_info(nats_settings.stream(INTAKE))).state.messages == 20
    assert await provision(nats_client, aged(nats_settings, 3600.0)) != []
