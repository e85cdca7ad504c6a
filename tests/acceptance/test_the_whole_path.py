"""An event published by a scheduler reaches the database, the archive and the API, with services as in production."""

import json
from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.builders import START_TIME, start_line, stop_line
from tests.support.clusters import DATA
from tests.support.databases import query
from tests.support.nats import publish
from tests.support.processes import ServiceRunner
from tests.support.rest import ask
from tests.support.stack import Stack
from tests.support.verdict import archived, assert_rebuild_changes_nothing, settled
from tests.support.waiting import until


@pytest.fixture
async def stack(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings, service: ServiceRunner) -> Stack:
    """All services up, on each database."""
    made = Stack(site, database, archive_settings, service)
    await made.up()
    return made


async def _jobs(stack: Stack, filters: str) -> list[dict[str, Any]]:
    status, answer = await ask(stack["gateway"], "GET", f"/api/jobs/?{filters}")
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["jobs"]
    return found


async def test_a_job_passes_from_its_start_to_the_archive(stack: Stack) -> None:
    await publish(stack.nats, start_line(4711, "fritz", ["f0101", "f0102"], user="dora", metaData={"jobName": "first light"}))
    (running,) = await until(lambda: _jobs(stack, "state=running"), 30)
    assert (running["jobId"], running["user"], running["subCluster"], running["numNodes"]) == (4711, "dora", "main", 2)

    await publish(stack.nats, stop_line(4711, None, stopTime=START_TIME + 99, jobState="timeout"))
    (stopped,) = await until(lambda: _jobs(stack, "state=timeout"), 30)
    assert (stopped["id"], stopped["duration"]) == (running["id"], 99)

    await archived(stack.database)
    (meta_file,) = stack.archive.path.glob("fritz/*/*/*/meta.json")
    assert meta_file.parent == stack.archive.path / "fritz" / "4" / "711" / str(START_TIME)
    meta = json.loads(meta_file.read_text())
    assert (meta["jobState"], meta["metaData"]["jobName"]) == ("timeout", "first light")
    status, job = await ask(stack["gateway"], "GET", f"/api/jobs/{running['id']}?all-metrics=true")
    assert status == 200, job
    await stack.down()


def _recorded() -> list[dict[str, Any]]:
    return [json.loads(text) for text in (DATA / "slurmlab" / "nats.jsonl").read_text().splitlines()]


def _payloads(function: str) -> list[dict[str, Any]]:
    """The JSON in the recorded lines, unescaped by hand: only quotes and backslashes are escaped there."""
    found = []
    for message in _recorded():
        if f"function={function}," in message["data"]:
            text = message["data"].split(' event="', 1)[1].rsplit('"', 1)[0]
            found.append(json.loads(text.replace('\\"', '"').replace("\\\\", "\\")))
    return found


async def test_the_recording_of_a_real_adapter_is_processed_completely(stack: Stack) -> None:
    messages = [message["data"].encode() for message in _recorded()]
    await publish(stack.nats, *messages)
    await settled(stack.nats, stack.database, published=len(messages))
    await archived(stack.database)

    stops = {stop["jobId"]: stop for stop in _payloads("stop_job")}
    expected = {
        (start["jobId"], start["user"], start["startTime"], stops[start["jobId"]]["stopTime"], stops[start["jobId"]]["jobState"])
        for start in _payloads("start_job")
    }
    assert len(expected) == 21
    rows = await query(stack.database, "SELECT job_id, hpc_user, start_time, start_time + duration, job_state FROM job")
    assert set(rows) == expected
    assert await query(stack.database, "SELECT code FROM rejection") == []
    listed = await _jobs(stack, "cluster=slurmlab&items-per-page=100&page=1")
    assert {job["jobId"] for job in listed} == set(stops)
    assert {job["subCluster"] for job in listed} == {"cpu", "gpu"}
    assert len(list(stack.archive.path.glob("slurmlab/*/*/*/meta.json"))) == 21
    await stack.down()
    await assert_rebuild_changes_nothing(stack.nats, stack.database)
