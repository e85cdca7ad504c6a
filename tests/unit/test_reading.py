"""What ends the wait for events of a stream."""

import asyncio

import pytest
from nats.aio.client import Client

from shared.broker.cursor import read_from
from shared.broker.streams import EVENTS
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
