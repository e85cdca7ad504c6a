"""The recorded exchanges of two more configurations: a server in another time zone, and restricted metrics."""

import json
import time
from collections.abc import Iterator

import pytest

from shared.broker.clusters import add_cluster
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.graphql.replay import Json, Replay, comparable, without_chance
from tests.gateway.recorded import differing, exchanges, import_sample_jobs
from tests.gateway.stack import gateway, jobstore
from tests.support.clusters import restricted_fritz
from tests.support.nats import client_of

# Intended differences; docs/compatibility.md gives the reasons.
DIFFERENCES = {"r-global-metrics-admin-user"}  # the role user does not take metrics away from an admin


def asked(config: str) -> list[Json]:
    return [exchange for exchange in exchanges("graphql.jsonl") if exchange["config"] == config]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
async def test_a_server_in_another_time_zone_answers_alike(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    await import_sample_jobs(site, archive_settings)
    await _asked_again(site, sqlite_database, archive_settings, asked("T"))


async def test_restricted_metrics_are_answered_alike(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with client_of(site) as client:
        await add_cluster(client, site, restricted_fritz())
    await _asked_again(site, sqlite_database, archive_settings, asked("R"))


async def _asked_again(nats: NatsSettings, database: DatabaseSettings, archive: ArchiveSettings, recorded: list[Json]) -> None:
    now = 0.0
    found: dict[str, list[str]] = {}
    async with jobstore(nats, database), gateway(nats, database, archive, clock=lambda: now) as client:
        await until_ready(client)
        replay = Replay(client, {})
        for exchange in recorded:
            now = exchange["at"]
            await replay.learn()
            status, _, text = await replay.ask(exchange)
            differences = list(_findings(exchange, status, text))
            if differences:
                found[exchange["name"]] = differences
    assert {name: text for name, text in found.items() if name not in DIFFERENCES} == {}
    assert set(found) == DIFFERENCES & {exchange["name"] for exchange in recorded}


def _findings(exchange: Json, status: int, text: str) -> Iterator[str]:
    recorded = exchange["response"]
    if status != recorded["status"]:
        yield f"{recorded['status']} there, {status} here: {text[:200]}"
    elif exchange["request"]["path"] != "/query":
        theirs, ours = (without_chance(json.loads(body), exchange) for body in (recorded["body"], text))
        yield from differing(theirs, ours)
    else:
        yield from differing(comparable(recorded["body"], exchange), comparable(text, exchange))
