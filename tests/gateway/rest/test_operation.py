"""Rejections and status."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy

from shared.broker.connection import connected
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.rows import write
from tests.gateway.stack import Client, gateway, jobstore, token
from tests.support.builders import start_payload, stop_payload
from tests.support.waiting import until


def rejection(sequence: int, code: str, time: float, stream: str = "EVENTS") -> dict[str, Any]:
    return {
        "seq": sequence,
        "origin": f"o{sequence}",
        "time": time,
        "code": code,
        "text": "why",
        "excerpt": "job <x>",
        "line": 1,
        "intake_seq": 9,
        "stream": stream,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [40, 30, 20, 10]),
        ("code=invalid_json", [30, 10]),
        ("code=invalid_json&code=unknown_cluster", [30, 20, 10]),
        ("since=200", [40, 30, 20]),
        ("after=20-0", [40, 30]),
        ("after=0-40", [30, 20, 10]),
        ("since=200&after=30-39", [40]),
        ("items-per-page=2&page=2", [20, 10]),
    ],
)
async def test_rejections_are_listed_newest_first(
    sqlite_api: Client, sqlite_database: DatabaseSettings, query: str, found: list[int]
) -> None:
    rows = [rejection(10, "invalid_json", 100.5), rejection(20, "unknown_cluster", 200), rejection(30, "invalid_json", 300)]
    rows.append(rejection(40, "line_protocol", 400, "REJECTIONS"))
    await write(sqlite_database, "rejection", rows)
    status, answer = await sqlite_api.get(f"/api/rejections/?{query}")
    assert (status, [one["sequence"] for one in answer["rejections"]]) == (200, found)
    assert answer["rejections"][0]["intakeSequence"] == 9


async def test_a_rejection_shows_the_cluster_that_its_payload_names(api: Client, database: DatabaseSettings) -> None:
    """On both engines, since the name is found by SQL."""
    excerpts = ['{"jobId":1,"cluster":"fritz"}', '{"cluster": "al ex"}', '{"cluster":""}', '{"cluster":7}', '{"cluster":"open', "job x=1"]
    rows = [rejection(10 * n, "unknown_field", 100 * n) | {"excerpt": text, "cluster": None} for n, text in enumerate(excerpts, 1)]
    rows[5] |= {"cluster": "known"}
    await write(database, "rejection", rows)
    found = (await api.get("/api/rejections/"))[1]["rejections"]
    assert [one["cluster"] for one in reversed(found)] == ["fritz", "al ex", None, None, None, "known"]
    for cluster, sequences in (("fritz", [10]), ("", [50, 40, 30]), ("known", [60]), ("none", [])):
        found = (await api.get(f"/api/rejections/?cluster={cluster}"))[1]["rejections"]
        assert [one["sequence"] for one in found] == sequences
    assert [one["sequence"] for one in (await api.get("/api/rejections/?since=200&until=400"))[1]["rejections"]] == [30, 20]


@pytest.mark.parametrize("query", ["items-per-page=1001", "since=x", "limit=5", "after=20", "after=x-1"])
async def test_an_invalid_query_for_rejections_is_400(sqlite_api: Client, query: str) -> None:
    assert (await sqlite_api.get(f"/api/rejections/?{query}"))[0] == 400


async def test_rejections_are_followed_with_the_next_of_each_answer(sqlite_api: Client, sqlite_database: DatabaseSettings) -> None:
    states = {"cluster": "elsewhere", "nodes": [{"hostname": "n1", "states": ["idle"]}]}
    await sqlite_api.post("/api/nodestate/", states)

    async def listed() -> dict[str, Any]:
        answer: dict[str, Any] = (await sqlite_api.get("/api/rejections/"))[1]
        return answer if answer["rejections"] else {}

    place = (await until(listed))["next"]
    assert place == "0-1"
    await write(sqlite_database, "rejection", [rejection(2, "line_protocol", 50, "REJECTIONS")])
    (found,) = (await sqlite_api.get(f"/api/rejections/?after={place}"))[1]["rejections"]
    assert (found["stream"], found["sequence"]) == ("REJECTIONS", 2)


async def test_status_shows_streams_positions_and_jobs(api: Client, site: NatsSettings) -> None:
    await api.post("/api/jobs/start_job/", start_payload(1))
    status, state = await api.get("/api/status/")
    events = next(stream for stream in state["streams"] if stream["name"] == site.stream("EVENTS"))
    assert (status, state["broker"], state["runningJobs"]) == (200, "ok", 1)
    assert (events["lastSequence"], events["position"], events["lag"]) == (1, 1, 0)


async def test_status_shows_how_full_streams_are_and_how_old_their_oldest_message(sqlite_api: Client, site: NatsSettings) -> None:
    async with connected(site, "test", asyncio.Event()) as client:
        js = client.jetstream(timeout=30)
        intake = site.stream("INTAKE")
        before = await _streams(sqlite_api)
        assert (before[intake]["sizeBytes"], before[intake]["oldest"], before[intake]["maxBytes"]) == (0, None, None)
        config = (await js.stream_info(intake)).config
        await js.update_stream(config.evolve(max_bytes=1_000_000, discard=DiscardPolicy.NEW, max_age=86_400.0))
        await js.add_consumer(intake, ConsumerConfig(durable_name="ingest", ack_policy=AckPolicy.EXPLICIT))
        sequences = [(await js.publish(site.job_subjects[0], bytes(1000))).seq for _ in range(3)]
        stored = [(await js.get_msg(intake, sequence)).time for sequence in sequences]
        assert stored[0] is not None
        await js.delete_msg(intake, sequences[1])  # a hole: the oldest is the first all the same
        state = (await _streams(sqlite_api))[intake]
        assert state["oldest"] == pytest.approx(stored[0].timestamp(), abs=0.001)
        assert (state["maxBytes"], state["refusesWhenFull"], state["maxAgeS"]) == (1_000_000, True, 86_400)
        assert state["sizeBytes"] == (await js.stream_info(intake)).state.bytes > 2000
        (queue,) = state["queues"]
        assert (queue["name"], queue["waiting"]) == ("ingest", 2)
        assert 0 <= queue["unreadS"] <= time.time() - stored[0].timestamp()


async def test_status_shows_the_last_events_of_each_cluster_and_who_follows_changes(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings, node_unknown_after_s=1e-6) as api:
        await until_ready(api)
        before = (await api.get("/api/status/"))[1]
        assert before["live"] == {"eventStreams": 0, "webSockets": 0}
        assert all((one["lastJob"], one["lastNodes"], one["isSilent"]) == (None, None, False) for one in before["clusters"])
        await api.post("/api/jobs/start_job/", start_payload(1))
        await api.post("/api/jobs/stop_job/", stop_payload(1))
        await api.post("/api/nodestate/", {"cluster": "alex", "nodes": [{"hostname": "a0603", "states": ["idle"]}]})
        async with connected(site, "test", asyncio.Event()) as client:
            js = client.jetstream(timeout=30)
            stop = await js.get_last_msg(site.stream("EVENTS"), f"{site.prefix}.job.stopped.fritz")
            report = await js.get_last_msg(site.stream("NODES"), f"{site.prefix}.node.reported.alex")
        assert stop.time is not None
        assert report.time is not None
        headers = {"X-Auth-Token": token("api"), "Accept": "text/event-stream"}
        async with aiohttp.ClientSession() as session, session.get(f"http://{api.address}/api/events/", headers=headers) as stream:
            assert stream.status == 200
            after = (await api.get("/api/status/"))[1]
        assert after["live"] == {"eventStreams": 1, "webSockets": 0}
        clusters = {one["name"]: one for one in after["clusters"]}
        assert list(clusters) == ["alex", "emmy", "fritz", "slurmlab"]
        assert clusters["fritz"]["lastJob"] == pytest.approx(stop.time.timestamp(), abs=0.001)
        assert clusters["alex"]["lastNodes"] == pytest.approx(report.time.timestamp(), abs=0.001)
        assert [(one["lastJob"], one["lastNodes"]) for one in (clusters["emmy"], clusters["slurmlab"])] == [(None, None)] * 2
        assert {name for name, one in clusters.items() if one["isSilent"]} == {"alex"}


async def _streams(api: Client) -> dict[str, dict[str, Any]]:
    return {stream["name"]: stream for stream in (await api.get("/api/status/"))[1]["streams"]}
