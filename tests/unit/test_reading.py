"""Conditions that end the wait for events of a stream."""

import asyncio

import pytest
from nats.aio.client import Client

from shared.broker.cursor import read_from
from shared.broker.streams import EVENTS, NODES
from shared.settings import NatsSettings


async def test_a_stop_ends_the_wait_for_events_at_once(
    nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.broker.puller.EXPIRES_S", 600.0)
    stop = asyncio.Event()
    async with read_from(nats_client, nats_settings.stream(EVENTS), 1, stop=stop) as cursor:
        reading = asyncio.create_task(cursor.batch(10))
        await nats_client.flush()
        assert not reading.done()
        stop.set()
        assert await asyncio.wait_for(reading, 20) == []
        assert await asyncio.wait_for(cursor.batch(10), 20) == []


async def test_a_batch_ends_with_the_event_that_reaches_its_bytes(
    nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.broker.cursor.MAX_BATCH_BYTES", 3000)
    sizes = [1000, 1999, 1, 5000, 10, 10]
    for size in sizes:
        await nats_client.jetstream().publish(f"{nats_settings.prefix}.node.reported.fritz", bytes(size))
    batches: list[list[int]] = []
    async with read_from(nats_client, nats_settings.stream(NODES), 1) as cursor:
        while sum(map(len, batches)) < len(sizes):
            batches.append([record.sequence for record in await cursor.batch(10)])
    assert [sequence for batch in batches for sequence in batch] == [1, 2, 3, 4, 5, 6]
    assert all(sum(sizes[sequence - 1] for sequence in batch[:-1]) < 3000 for batch in batches)
