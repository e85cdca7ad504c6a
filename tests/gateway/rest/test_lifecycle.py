"""Starting and stopping jobs over REST."""

import json
from typing import Any

import pytest

from tests.gateway.stack import Client
from tests.support.builders import START_TIME, start_payload, stop_payload


async def start(api: Client, job_id: int = 1, **fields: Any) -> dict[str, Any]:
    """Start a job and return its entry in the list."""
    status, answer = await api.post("/api/jobs/start_job/", start_payload(job_id, **fields))
    assert (status, answer) == (201, {"msg": "success"})
    _, listed = await api.get("/api/jobs/?items-per-page=1000")
    return next(job for job in listed["jobs"] if job["jobId"] == job_id)


async def test_a_started_job_is_listed_at_once(api: Client) -> None:
    job = await start(api, 17)
    assert (job["jobState"], job["user"], job["id"] > 0) == ("running", start_payload(17)["user"], True)


async def test_a_stopped_job_is_answered_with_its_state_and_duration(api: Client) -> None:
    job = await start(api, 17)
    status, stopped = await api.post(
        "/api/jobs/stop_job/", {"jobId": 17, "cluster": "fritz", "jobState": "timeout", "stopTime": START_TIME + 60}
    )
    assert status == 200
    assert stopped | {"jobState": "timeout", "duration": 60, "id": job["id"], "metaData": None} == stopped
    assert "tags" not in stopped


STOPS: list[tuple[dict[str, Any], str, int]] = [
    ({"stopTime": START_TIME - 1}, "completed", 0),
    ({"stopTime": START_TIME - 1, "startTime": START_TIME}, "completed", 0),
    ({"jobState": "cancelled by 1060117793"}, "cancelled", 60),
    ({"jobState": "canceled"}, "cancelled", 60),
    ({"jobState": "out-of-memory"}, "out_of_memory", 60),
    ({"jobState": "requeued"}, "preempted", 60),
    ({"jobState": "no such word"}, "failed", 60),
]


async def test_no_detail_of_a_stop_refuses_it(sqlite_api: Client) -> None:
    """An adapter that polls its scheduler stops sending at the first answer that is not 200."""
    for job_id, (fields, state, duration) in enumerate(STOPS, start=20):
        await start(sqlite_api, job_id)
        body = stop_payload(job_id) | {"stopTime": START_TIME + 60} | fields
        status, stopped = await sqlite_api.post("/api/jobs/stop_job/", body)
        assert (status, stopped["jobState"], stopped["duration"]) == (200, state, duration), fields
    _, listed = await sqlite_api.get("/api/jobs/?with-metadata=1&items-per-page=100")
    assert len(listed["jobs"]) == len(STOPS)
    assert all("stopOddities" in job["metaData"] for job in listed["jobs"]), listed


@pytest.mark.parametrize("script", ["x" * 9_000_000, "\n" * 5_000_000], ids=["long", "newlines"])
async def test_a_script_that_is_too_large_is_truncated_and_the_job_is_recorded(api: Client, script: str) -> None:
    """The broker of the tests accepts 8 MB. An adapter would resend a refused job forever, and never send the next one."""
    status, _ = await api.post("/api/jobs/start_job/", start_payload(17, metaData={"jobName": "n", "jobScript": script}))
    assert status == 201
    _, listed = await api.get("/api/jobs/?with-metadata=1")
    (metadata,) = (job["metaData"] for job in listed["jobs"] if job["jobId"] == 17)
    assert metadata["jobName"] == "n"
    assert metadata["jobScript"].endswith("\u2026")
    assert "cut" in metadata["startOddities"]


async def test_a_job_that_is_too_large_without_its_texts_is_413(api: Client) -> None:
    resources = [{"hostname": f"f{number:04d}", "configuration": "x" * 1000} for number in range(101, 9101)]
    status, answer = await api.post("/api/jobs/start_job/", start_payload(17, numNodes=len(resources), resources=resources))
    assert status == 413, answer


async def test_an_invalid_informational_value_does_not_refuse_a_start(api: Client) -> None:
    job = await start(api, 17, walltime=-1, requestedMemory=-1)
    assert job.get("walltime", 0) == 0
    _, listed = await api.get("/api/jobs/?with-metadata=1")
    assert "walltime: -1" in listed["jobs"][0]["metaData"]["startOddities"]


async def test_a_start_with_a_final_state_and_a_duration_ends_at_once(api: Client) -> None:
    job = await start(api, 17, jobState="failed", duration=60)
    assert (job["jobState"], job["duration"]) == ("failed", 60)


async def test_a_repeated_start_of_a_finished_job_publishes_the_stop_that_a_killed_gateway_did_not_send(api: Client) -> None:
    await start(api, 17)
    for _ in range(2):
        assert (await api.post("/api/jobs/start_job/", start_payload(17, jobState="failed", duration=60)))[0] == 422
        _, listed = await api.get("/api/jobs/")
        assert [(job["jobState"], job["duration"]) for job in listed["jobs"]] == [("failed", 60)]
    assert (await api.get("/api/rejections/"))[1]["rejections"] == []


async def test_bytes_that_are_not_utf8_are_replaced_and_reported(api: Client) -> None:
    body = json.dumps(start_payload(17, metaData={"jobScript": "caf@"})).encode().replace(b"@", b"\xfc")
    response = await api.raw("POST", "/api/jobs/start_job/", data=body)
    assert response.status == 201
    _, listed = await api.get("/api/jobs/?with-metadata=1")
    metadata = listed["jobs"][0]["metaData"]
    assert metadata["jobScript"] == "caf\ufffd"
    assert "not UTF-8" in metadata["startOddities"]
