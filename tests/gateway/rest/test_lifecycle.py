"""Starting and stopping jobs over REST."""

from typing import Any

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
