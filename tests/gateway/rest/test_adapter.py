"""The requests of a real Slurm adapter over REST, and the answers that it needs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.stack import Client, token

RECORDING = Path(__file__).parents[2] / "data" / "slurmlab" / "rest.jsonl"


def calls() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDING.read_text(encoding="utf-8").splitlines()]


@pytest.mark.timeout(60)
async def test_every_call_of_the_adapter_gets_the_answer_it_needs(api: Client) -> None:
    headers = {"Accept": "application/ld+json", "X-AUTH-TOKEN": token("api")}
    for call in calls():
        status, answer = await api.call(call["method"], call["path"], call["body"], auth="", headers=headers)
        assert status == call["status"], (call, answer)
        assert _shown(answer) == _shown(call["answer"]), call


async def test_a_restarted_adapter_finds_the_jobs_that_it_started_and_did_not_stop(api: Client) -> None:
    started = [call["body"] for call in calls() if call["path"].endswith("start_job/")][:7]
    for body in started:
        assert (await api.post("/api/jobs/start_job/", body))[0] == 201
    stopped = started.pop()
    await api.post("/api/jobs/stop_job/", {"jobId": stopped["jobId"], "cluster": "slurmlab", "stopTime": stopped["startTime"] + 5})
    status, answer = await api.get("/api/jobs/?state=running&items-per-page=9999999&page=1&with-metadata=false")
    assert status == 200
    assert {job["jobId"] for job in answer["jobs"]} == {body["jobId"] for body in started}


async def test_a_repeated_start_or_stop_is_422_which_the_adapter_treats_as_done(api: Client) -> None:
    body = next(call["body"] for call in calls() if call["path"].endswith("start_job/"))
    stop = {"jobId": body["jobId"], "cluster": "slurmlab", "jobState": "completed", "stopTime": body["startTime"] + 5}
    assert [(await api.post("/api/jobs/start_job/", body))[0] for _ in range(2)] == [201, 422]
    assert [(await api.post("/api/jobs/stop_job/", stop))[0] for _ in range(2)] == [200, 422]


def _shown(answer: Any) -> Any:
    """Drop the ids, which come from the database, and the fields that only an archiver adds."""
    if isinstance(answer, dict):
        return {key: value for key, value in answer.items() if key != "id"}
    return answer or ""
