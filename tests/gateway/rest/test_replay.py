"""Replaying all rejections of one code over the API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.ingest.app import run as run_ingest
from services.ingest.settings import IngestSettings, Settings
from shared import replay
from shared.broker.clusters import add_cluster
from shared.broker.streams import INTAKE
from shared.settings import NatsSettings
from tests.gateway.stack import Client, running
from tests.support.builders import start_line
from tests.support.clusters import cluster_text
from tests.support.nats import client_of, publish
from tests.support.waiting import until

PATH = "/api/rejections/replay/"


@pytest.fixture
async def fed(api: Client, site: NatsSettings) -> AsyncIterator[Client]:
    """As ``api``, with ingest."""
    settings = Settings(site, IngestSettings(health="127.0.0.1:0"))
    async with running(lambda stop, report: run_ingest(settings, stop, report)):
        yield api


async def rejected(client: Client, site: NatsSettings, *lines: bytes) -> list[dict[str, Any]]:
    """Publish lines that are refused; returns the rejections."""
    await publish(site, *lines)

    async def recorded() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.get("/api/rejections/"))[1]["rejections"]
        return found if len(found) == len(lines) else []

    return await until(recorded)


async def add_fresh(site: NatsSettings) -> None:
    async with client_of(site) as client:
        await add_cluster(client, site, cluster_text("fritz").replace(b'"fritz"', b'"fresh"', 1))


async def test_all_rejections_of_a_cluster_that_was_added_later_take_effect(fed: Client, site: NatsSettings) -> None:
    lines = [start_line(job, "fresh", ["f0101"]) for job in (1, 2, 3)]
    found = await rejected(fed, site, *lines, start_line(4, "elsewhere", ["f0101"]))
    await add_fresh(site)
    assert (await fed.call("POST", f"{PATH}?code=unknown_cluster&since={int(found[0]['time']) + 60}"))[1]["published"] == 0
    answer = await fed.call("POST", f"{PATH}?code=unknown_cluster&since={int(found[0]['time']) - 60}&cluster=fresh")
    assert answer == (200, {"published": 3, "expired": 0, "last": 3, "hasMore": False})

    async def listed() -> bool:
        return [job["jobId"] for job in (await fed.get("/api/jobs/"))[1]["jobs"]] == [3, 2, 1]

    await until(listed, 20)


async def test_a_replay_continues_after_its_last_message_and_counts_what_expired(
    fed: Client, site: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rejected(fed, site, *(start_line(job, "fresh", ["f0101"]) for job in (1, 2, 3)))
    monkeypatch.setattr(replay, "MAX_MESSAGES", 2)
    async with client_of(site) as client:
        await client.jetstream().purge_stream(site.stream(INTAKE), seq=2)
    first = await fed.call("POST", f"{PATH}?code=unknown_cluster")
    assert first == (200, {"published": 1, "expired": 1, "last": 2, "hasMore": True})
    assert await fed.call("POST", f"{PATH}?code=unknown_cluster&after=2") == (
        200,
        {"published": 1, "expired": 0, "last": 3, "hasMore": False},
    )


@pytest.mark.parametrize("query", ["", "?code=no_such_code", "?code=unknown_cluster&cluster=%00", "?code=unknown_cluster&seq=1"])
async def test_a_replay_without_a_known_code_or_with_other_parameters_is_400(bodies: Client, query: str) -> None:
    assert (await bodies.call("POST", PATH + query))[0] == 400
