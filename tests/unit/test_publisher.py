"""Readiness of a publisher after a failure."""

import pytest
from nats.aio.client import Client

from shared.broker import publisher as module
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.streams import EVENTS, provision
from shared.errors import Unavailable
from shared.settings import NatsSettings
from tests.support.waiting import until


async def failed(client: Client, nats: NatsSettings, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """A publisher whose last message was not stored, because there was no stream."""
    monkeypatch.setattr(module, "FAILING_AFTER_S", 0.0)
    await client.jetstream(timeout=20).delete_stream(nats.stream(EVENTS))
    publisher = Publisher(client, nats.prefix)
    with pytest.raises(Unavailable):
        await publisher.publish_raw([Outgoing(f"{nats.prefix}.job.started.x", b"{}")], deadline_s=0.1)
    return publisher


async def test_a_publisher_fails_until_a_message_is_acknowledged(
    nats_client: Client, nats_settings: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await failed(nats_client, nats_settings, monkeypatch)
    with pytest.raises(Unavailable, match="does not acknowledge"):
        await publisher.require()
    await provision(nats_client, nats_settings)
    with pytest.raises(Unavailable, match="does not acknowledge"):
        await publisher.require()
    await publisher.publish_raw([Outgoing(f"{nats_settings.prefix}.job.started.x", b"{}")], deadline_s=30)
    await publisher.require()


async def test_a_publisher_with_nothing_to_publish_does_not_fail_forever(
    nats_client: Client, nats_settings: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await failed(nats_client, nats_settings, monkeypatch)
    with pytest.raises(Unavailable):
        await publisher.require()
    monkeypatch.setattr(module, "FORGOTTEN_AFTER_S", 0.2)

    async def is_forgotten() -> bool:
        try:
            await publisher.require()
        except Unavailable:
            return False
        return True

    await until(is_forgotten)
