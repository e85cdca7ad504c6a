"""An adapter that uses REST and repeats requests until it has an answer."""

import time
from collections.abc import Collection, Sequence
from typing import Any

import aiohttp

from tests.support.builders import START_TIME, start_payload, stop_payload
from tests.support.processes import ServiceProcess
from tests.support.tokens import token
from tests.support.waiting import pause
from tests.support.workload import JobRow

ANSWER_S = 30.0


async def ask(gateway: ServiceProcess, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and decoded answer of one request; status 0 without an answer."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session,
            session.request(
                method, f"http://{gateway.addresses['http']}{path}", json=body, headers={"X-Auth-Token": token("api")}
            ) as response,
        ):
            return response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, LookupError, ValueError):  # LookupError: it is starting and has no address yet
        return 0, None


async def text_of(address: str, path: str) -> tuple[int, str]:
    """Status and text of one request without a token: ``/healthz``, ``/metrics``."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session,
        session.get(f"http://{address}{path}") as response,
    ):
        return response.status, await response.text()


async def ask_until(gateway: ServiceProcess, method: str, path: str, body: Any, accepted: Collection[int], deadline_s: float = 60.0) -> Any:
    """The first answer with an accepted status. The request is repeated without an answer and after 503; other statuses are errors."""
    give_up = time.monotonic() + deadline_s
    while True:
        status, answer = await ask(gateway, method, path, body)
        if status in accepted:
            return answer
        assert status in (0, 503), f"{method} {path} gave {status}: {answer}"
        assert time.monotonic() < give_up, f"{method} {path} had no answer in {deadline_s:g} s"
        await pause()


def rest_jobs(first_job_id: int, count: int) -> list[JobRow]:
    """Jobs to start and stop over REST."""
    return [(first_job_id + n, "fritz", START_TIME + n, "main", "alice", "completed", 100 + n) for n in range(count)]


async def submit(gateway: ServiceProcess, jobs: Sequence[JobRow]) -> None:
    """Start and stop the jobs one after the other. 422 means that an earlier attempt has been recorded."""
    for job_id, cluster, start_time, _, user, state, duration in jobs:
        start = start_payload(job_id, cluster, user=user, startTime=start_time)
        await ask_until(gateway, "POST", "/api/jobs/start_job/", start, (201, 422))
        stop = stop_payload(job_id, cluster, startTime=start_time, stopTime=start_time + duration, jobState=state)
        await ask_until(gateway, "POST", "/api/jobs/stop_job/", stop, (200, 422))
