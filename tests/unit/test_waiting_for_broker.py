"""An unreachable broker is logged at the first attempt and then rarely."""

import asyncio

import pytest
import structlog

from shared.broker import connection
from shared.errors import Unavailable
from shared.settings import NatsSettings, load


async def test_an_unreachable_broker_is_logged_once_a_minute_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    tries = 0
    real_dial = connection.dial

    async def dial(settings: NatsSettings, name: str, **more: object) -> object:
        nonlocal tries
        tries += 1
        if tries == 3:
            stop.set()
        return await real_dial(settings, name)

    monkeypatch.setattr(connection, "dial", dial)
    with structlog.testing.capture_logs() as logs, pytest.raises(Unavailable):
        async with connection.connected(load(NatsSettings, url="nats://127.0.0.1:1"), "test", stop):
            pass
    assert tries == 3
    told = [line for line in logs if line["event"] == "waiting_for_broker"]
    assert [line["setting"] for line in told] == ["JOBTIDE_NATS_URL"]
