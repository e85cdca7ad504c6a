"""Replaying all rejections of one code over the API."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.ingest.app import run as run_ingest
from services.ingest.settings import IngestSettings, Settings
from shared import replay
from shared.broker.clusters import add_cluster
from shared.broker.streams import INTAKE
from shared.settings import DatabaseSettings, NatsSettings
from tests.gateway.stack import Client
from tests.support.builders import node_line, start_line
from tests.support.clusters import cluster_text
from tests.support.databases import query
from tests.support.in_process import running_in_process
from tests.support.nats import client_of, publish
from tests.support.waiting import until

PATH = "/api/rejections/replay/"


@pytest.fixture
async def fed(api: Client, site: NatsSettings) -> AsyncIterator[Client]:
    """``api`` with ingest."""
    settings = Settings(site, IngestSettings(health="127.0.0.1:0"))
    async with running_in_process(lambda stop, report: run_ingest(settings, stop, report)):
        yield api


async def rejected(client: Client, site: NatsSettings, *lines: bytes, count: int | None = None) -> list[dict[str, Any]]:
    """Publish lines that are refused; returns the rejections."""
    await publish(site, *lines)

    async def recorded() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.get("/api/rejections/"))[1]["rejections"]
        return found if len(found) == (count or len(lines)) else []

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


async def test_a_replay_while_the_cause_remains_leaves_the_rejections_as_they_were(fed: Client, site: NatsSettings) -> None:
    before = await rejected(fed, site, start_line(1, "fresh", ["f0101"]), start_line(2, "fresh", ["f0101"]) + b"nonsense", count=3)
    for _ in range(2):
        assert (await fed.call("POST", f"{PATH}?code=unknown_cluster"))[1]["published"] == 2
    await publish(site, b"the last")

    async def all_read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await fed.get("/api/rejections/"))[1]["rejections"]
        return found if any(row["excerpt"] == "the last" for row in found) else []

    after = [row for row in await until(all_read, 20) if row["excerpt"] != "the last"]
    assert [without_sequence(row) for row in after] == [without_sequence(row) for row in before]
    assert {row["sequence"] for row in after}.isdisjoint(row["sequence"] for row in before)


def without_sequence(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((name, value) for name, value in sorted(row.items()) if name != "sequence")


async def test_a_replayed_rejection_no_longer_counts_once_its_event_took_effect(fed: Client, site: NatsSettings) -> None:
    await rejected(fed, site, start_line(1, "fresh", ["f0101"]), start_line(2, "elsewhere", ["f0101"]))
    await add_fresh(site)
    await fed.call("POST", f"{PATH}?code=unknown_cluster")

    async def counts() -> bool:
        state = (await fed.get("/api/status/"))[1]
        return (state["runningJobs"], state["rejections"]) == (1, 1)

    await until(counts, 20)


async def test_a_replayed_report_of_nodes_has_its_original_time(fed: Client, site: NatsSettings, database: DatabaseSettings) -> None:
    async with client_of(site) as client:
        js = client.jetstream(timeout=20)
        sent = await js.publish(site.node_subjects[0], node_line("fresh", {"f0101": ["idle"]}))
        received = (await js.get_msg(site.stream(INTAKE), seq=sent.seq)).time
    assert received is not None

    async def is_rejected() -> bool:
        return bool((await fed.get("/api/rejections/"))[1]["rejections"])

    await until(is_rejected)
    await until(lambda: time.time() > received.timestamp() + 1.1)
    await add_fresh(site)
    await fed.call("POST", f"{PATH}?code=unknown_cluster")
    found = await until(lambda: query(database, "SELECT time_stamp FROM node WHERE cluster = 'fresh'"), 20)
    assert found == [(int(received.timestamp()),)]


async def test_a_replay_that_runs_out_of_time_returns_its_position(
    fed: Client, site: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rejected(fed, site, *(start_line(job, "fresh", ["f0101"]) for job in (1, 2, 3)))
    monkeypatch.setattr(replay, "WINDOW_BYTES", 1)  # one message at a time
    looked_up = 0
    raw = replay._raw

    async def slow_after_two(*arguments: Any) -> Any:
        nonlocal looked_up
        looked_up += 1
        if looked_up > 2:
            await asyncio.Event().wait()
        return await raw(*arguments)

    monkeypatch.setattr(replay, "_raw", slow_after_two)
    answer = await fed.call("POST", f"{PATH}?code=unknown_cluster")
    assert answer == (200, {"published": 2, "expired": 0, "last": 2, "hasMore": True})
    assert (await fed.call("POST", f"{PATH}?code=unknown_cluster&after=2"))[0] == 503


@pytest.mark.parametrize("query", ["", "?code=no_such_code", "?code=unknown_cluster&cluster=%00", "?code=unknown_cluster&seq=1"])
async def test_a_replay_without_a_known_code_or_with_other_parameters_is_400(bodies: Client, query: str) -> None:
    assert (await bodies.call("POST", PATH + query))[0] == 400
