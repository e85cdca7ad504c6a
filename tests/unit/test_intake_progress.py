"""A recreated consumer of the intake starts after the messages that are finished."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client

from services.ingest.app import durable
from services.ingest.progress import Progress, Removed
from services.ingest.settings import IngestSettings, Settings
from shared.broker.streams import EVENTS, INTAKE, Durable, ensure_consumer, progress_bucket, provision
from shared.errors import Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from tests.support.builders import start_line, stop_line
from tests.support.databases import query
from tests.support.nats import client_of, publish
from tests.support.processes import ServiceRunner
from tests.support.verdict import settled
from tests.support.waiting import until


@pytest.fixture
def queue(nats_settings: NatsSettings) -> Durable:
    return durable(Settings(nats_settings, IngestSettings()))


@pytest.fixture
async def progress(nats_client: Client, nats_settings: NatsSettings, queue: Durable) -> Progress:
    """The progress of a consumer that has finished three of five messages."""
    js = nats_client.jetstream(timeout=20)
    await ensure_consumer(js, queue)
    for number in range(5):
        await js.publish(nats_settings.job_subjects[0], str(number).encode())
    await read(nats_client, queue, 3)
    return Progress(nats_client, nats_settings, queue)


async def read(client: Client, queue: Durable, count: int) -> list[bytes]:
    subscription = await client.jetstream(timeout=20).pull_subscribe_bind(queue.name, stream=queue.stream)
    messages = await subscription.fetch(count, timeout=30)
    for message in messages:
        await message.ack_sync()
    await subscription.unsubscribe()
    return [message.data for message in messages]


async def nothing_removed(removed: Removed) -> None:
    raise AssertionError(removed)


async def lose(client: Client, queue: Durable) -> None:
    await client.jetstream(timeout=20).delete_consumer(queue.stream, queue.name)


async def test_a_new_consumer_starts_after_the_last_finished_message(nats_client: Client, queue: Durable, progress: Progress) -> None:
    js = nats_client.jetstream(timeout=20)
    await progress.advance(nothing_removed)
    await lose(nats_client, queue)
    assert await ensure_consumer(js, queue, progress.first_unfinished) == "created from 4"
    assert await ensure_consumer(js, queue, progress.first_unfinished) is None
    assert await read(nats_client, queue, 2) == [b"3", b"4"]
    await progress.advance(nothing_removed)
    assert await progress.first_unfinished() == 6


async def test_a_consumer_that_started_later_can_be_updated(nats_client: Client, nats_settings: NatsSettings, progress: Progress) -> None:
    js = nats_client.jetstream(timeout=20)
    settings = [Settings(nats_settings, IngestSettings(ack_wait_s=seconds)) for seconds in (30, 40)]
    await progress.advance(nothing_removed)
    await lose(nats_client, durable(settings[0]))
    await ensure_consumer(js, durable(settings[0]), progress.first_unfinished)
    assert await ensure_consumer(js, durable(settings[1]), progress.first_unfinished) == "updated"
    assert await read(nats_client, durable(settings[1]), 2) == [b"3", b"4"]


async def test_a_consumer_of_another_intake_starts_at_its_beginning(
    nats_client: Client, nats_settings: NatsSettings, queue: Durable, progress: Progress
) -> None:
    js = nats_client.jetstream(timeout=20)
    await progress.advance(nothing_removed)
    await js.delete_stream(nats_settings.stream(INTAKE))
    await provision(nats_client, nats_settings)
    for number in range(5):
        await js.publish(nats_settings.job_subjects[0], str(number).encode())
    assert await ensure_consumer(js, queue, progress.first_unfinished) == "created"


async def test_without_a_record_or_its_bucket_a_consumer_starts_at_the_beginning(
    nats_client: Client, nats_settings: NatsSettings, progress: Progress
) -> None:
    assert await progress.first_unfinished() is None
    await nats_client.jetstream(timeout=20).delete_key_value(progress_bucket(nats_settings))
    await progress.advance(nothing_removed)
    assert await progress.first_unfinished() is None


async def test_a_record_is_not_used_after_its_message_expired(nats_client: Client, queue: Durable, progress: Progress) -> None:
    await progress.advance(nothing_removed)
    await nats_client.jetstream(timeout=20).purge_stream(queue.stream, seq=4)
    assert await progress.first_unfinished() is None


async def purge(client: Client, queue: Durable, *, below: int) -> None:
    await client.jetstream(timeout=20).purge_stream(queue.stream, seq=below)


async def ranges(progress: Progress) -> list[tuple[int, int]]:
    """The ranges reported by one call of ``advance``."""
    found = []

    async def report(removed: Removed) -> None:
        found.append((removed.first, removed.last))

    await progress.advance(report)
    return found


async def test_messages_that_were_delivered_but_not_finished_count_as_removed(
    nats_client: Client, queue: Durable, progress: Progress
) -> None:
    """The broker counts them as finished when they expire from the stream."""
    assert await ranges(progress) == []
    subscription = await nats_client.jetstream(timeout=20).pull_subscribe_bind(queue.name, stream=queue.stream)
    assert len(await subscription.fetch(2, timeout=30)) == 2
    await purge(nats_client, queue, below=6)
    floor = (await nats_client.jetstream(timeout=20).consumer_info(queue.stream, queue.name)).ack_floor
    assert floor is not None
    assert floor.stream_seq == 5
    assert await ranges(progress) == [(4, 5)]
    assert await ranges(progress) == []


async def test_messages_that_were_finished_do_not_count_as_removed(nats_client: Client, queue: Durable, progress: Progress) -> None:
    assert await ranges(progress) == []
    await purge(nats_client, queue, below=4)
    assert await ranges(progress) == []
    await lose(nats_client, queue)
    assert await ensure_consumer(nats_client.jetstream(timeout=20), queue, progress.first_unfinished) == "created"
    assert await read(nats_client, queue, 2) == [b"3", b"4"]


async def test_messages_removed_while_the_consumer_was_lost_are_reported(nats_client: Client, queue: Durable, progress: Progress) -> None:
    assert await ranges(progress) == []
    await lose(nats_client, queue)
    await purge(nats_client, queue, below=5)
    assert await ranges(progress) == [(4, 4)]
    await ensure_consumer(nats_client.jetstream(timeout=20), queue, progress.first_unfinished)
    assert await read(nats_client, queue, 1) == [b"4"]
    assert await ranges(progress) == []


async def test_a_replica_that_ended_before_its_report_leaves_the_same_report_to_the_next_one(
    nats_client: Client, nats_settings: NatsSettings, queue: Durable, progress: Progress
) -> None:
    reports = []

    async def end(removed: Removed) -> None:
        reports.append(removed)
        raise Unavailable

    assert await ranges(progress) == []
    await purge(nats_client, queue, below=5)
    with pytest.raises(Unavailable):
        await progress.advance(end)
    await purge(nats_client, queue, below=6)  # the range has grown meanwhile

    async def succeed(removed: Removed) -> None:
        reports.append(removed)

    for _ in range(3):
        await Progress(nats_client, nats_settings, queue).advance(succeed)
    assert reports[0] == reports[1]
    assert [(removed.first, removed.last) for removed in reports[1:]] == [(4, 4), (5, 5)]


async def test_replicas_that_look_together_report_each_message_in_one_range(
    nats_client: Client, nats_settings: NatsSettings, queue: Durable, progress: Progress
) -> None:
    js = nats_client.jetstream(timeout=20)
    replicas = [Progress(nats_client, nats_settings, queue) for _ in range(4)]
    reports: set[Removed] = set()

    async def report(removed: Removed) -> None:
        reports.add(removed)

    assert await ranges(progress) == []
    for number in range(40):
        await js.publish(nats_settings.job_subjects[0], str(number).encode())
    for below in range(6, 47, 5):
        await asyncio.gather(purge(nats_client, queue, below=below), *(replica.advance(report) for replica in replicas))
    await progress.advance(report)
    await progress.advance(report)
    removed = [sequence for removed in reports for sequence in range(removed.first, removed.last + 1)]
    assert sorted(removed) == list(range(4, 46))


async def test_an_intake_restored_from_an_older_copy_reports_nothing_that_was_not_removed(
    nats_client: Client, nats_settings: NatsSettings, queue: Durable, progress: Progress
) -> None:
    """The record is ahead of the intake, whose new messages have sequences below the record."""
    js = nats_client.jetstream(timeout=20)
    bucket = await js.key_value(progress_bucket(nats_settings))
    assert await ranges(progress) == []
    entry = await bucket.get(queue.name)
    await bucket.put(queue.name, (entry.value or b"").replace(b'"sequence":3', b'"sequence":1000'))
    assert await ranges(progress) == []
    await purge(nats_client, queue, below=5)
    assert await ranges(progress) == [(4, 4)]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_messages_that_expire_after_ingest_was_killed_with_them_are_one_rejection_of_two_replicas(
    site: NatsSettings, sqlite_database: DatabaseSettings, service: ServiceRunner
) -> None:
    ingest = await service.start("ingest", site)
    async with client_of(site) as client:
        js = client.jetstream(timeout=20)
        intake = site.stream(INTAKE)
        await publish(site, start_line(1), stop_line(1))

        async def finished() -> int | None:
            return await Progress(client, site, durable(Settings(site, IngestSettings()))).first_unfinished()

        async def in_hand() -> int | None:
            pending: int | None = (await js.consumer_info(intake, "ingest")).num_ack_pending
            return pending

        async def are_gone() -> bool:
            return (await js.stream_info(intake)).state.messages == 0

        await until(lambda: _equals(finished, 3), 20)
        await js.delete_stream(site.stream(EVENTS))  # nothing can be published: ingest holds what it was given
        await publish(site, *(start_line(number) for number in range(2, 12)))
        await until(lambda: _equals(in_hand, 10), 20)
        ingest.kill9()
        config = (await js.stream_info(intake)).config
        await js.update_stream(config.evolve(max_age=0.2))
        await until(are_gone, 20)
        await js.update_stream(config)
        await provision(client, site)
        await service.start("jobstore", site, sqlite_database)
        await asyncio.gather(*(service.start("ingest", site) for _ in range(2)))
        await publish(site, start_line(12))
        await until(lambda: query(sqlite_database, "SELECT 1 FROM job WHERE job_id = 12"), 40)
        await until(lambda: query(sqlite_database, "SELECT 1 FROM rejection"), 40)
    ((code, sequence, text),) = await query(sqlite_database, "SELECT code, intake_seq, text FROM rejection")
    assert (code, sequence) == ("expired_unread", 3)
    assert "3 to 12" in text


async def _equals(look: Callable[[], Awaitable[int | None]], expected: int) -> bool:
    return await look() == expected


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_lost_consumer_brings_no_message_back(
    site: NatsSettings, sqlite_database: DatabaseSettings, service: ServiceRunner
) -> None:
    ingest = await service.start("ingest", site)
    await service.start("jobstore", site, sqlite_database)
    async with client_of(site) as client:
        js = client.jetstream(timeout=20)
        events = site.stream("EVENTS")

        async def is_recorded() -> bool:
            return await Progress(client, site, durable(Settings(site, IngestSettings()))).first_unfinished() == 3

        await publish(site, start_line(1), stop_line(1))
        await until(is_recorded, 20)
        await js.delete_consumer(site.stream(INTAKE), "ingest")
        await publish(site, start_line(2))
        await settled(site, sqlite_database, published=3)
        assert (await js.stream_info(events)).state.last_seq == 3
    assert await query(sqlite_database, "SELECT job_id FROM job ORDER BY id") == [(1,), (2,)]
    assert await ingest.terminate() == 0
