"""Starting and stopping jobs over REST."""

import json
from typing import Any

import pytest

from tests.gateway.stack import Client
from tests.support.builders import START_TIME, start_payload


async def start(api: Client, job_id: int = 1, **fields: Any) -> dict[str, Any]:
    """Start a job and return it as the list shows it."""
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


@pytest.mark.parametrize("script", ["x" * 9_000_000, "\n" * 5_000_000], ids=["long", "newlines"])
async def test_a_script_that_is_too_large_is_cut_and_the_job_taken(api: Client, script: str) -> None:
    """The broker of the tests takes 8 MB; an adapter would send the job again and again, and none after it."""
    status, _ = await api.post("/api/jobs/start_job/", start_payload(17, metaData={"jobName": "n", "jobScript": script}))
    assert status == 201
    _, listed = await api.get("/api/jobs/?with-metadata=1")
    (metadata,) = (job["metaData"] for job in listed["jobs"] if job["jobId"] == 17)
    assert metadata["jobName"] == "n"
    assert metadata["jobScript"].endswith("\u2026")
    assert "cut" in metadata["startOddities"]


async def test_what_is_too_large_without_its_texts_is_413(api: Client) -> None:
    resources = [{"hostname": f"f{number:04d}", "configuration": "x" * 1000} for number in range(101, 9101)]
    status, answer = await api.post("/api/jobs/start_job/", start_payload(17, numNodes=len(resources), resources=resources))
    assert status == 413, answer


async def test_a_value_that_only_informs_costs_no_start(api: Client) -> None:
    job = await start(api, 17, walltime=-1, requestedMemory=-1)
    assert job.get("walltime", 0) == 0
    _, listed = await api.get("/api/jobs/?with-metadata=1")
    assert "walltime: -1" in listed["jobs"][0]["metaData"]["startOddities"]


async def test_a_start_with_a_final_state_and_a_duration_ends_at_once(api: Client) -> None:
    job = await start(api, 17, jobState="failed", duration=60)
    assert (job["jobState"], job["duration"]) == ("failed", 60)


async def test_a_repeated_start_of_a_finished_job_brings_the_stop_that_a_killed_gateway_did_not_send(api: Client) -> None:
    await start(api, 17)
    for _ in range(2):
        assert (await api.post("/api/jobs/start_job/", start_payload(17, jobState="failed", duration=60)))[0] == 422
        _, listed = await api.get("/api/jobs/")
        assert [(job["jobState"], job["duration"]) for job in listed["jobs"]] == [("failed", 60)]
    assert (await api.get("/api/rejections/"))[1]["rejections"] == []


async def test_bytes_that_are_not_utf8_are_replaced_and_told(api: Client) -> None:
    body = json.dumps(start_payload(17, metaData={"jobScript": "caf@"})).encode().replace(b"@", b"\xfc")
    response = await api.raw("POST", "/api/jobs/start_job/", data=body)
    assert response.status == 201
    _, listed = await api.get("/api/jobs/?with-metadata=1")
    metadata = listed["jobs"][0]["metaData"]
    assert metadata["jobScript"] == "caf\ufffd"
    assert "not UTF-8" in metadata["startOddities"]
