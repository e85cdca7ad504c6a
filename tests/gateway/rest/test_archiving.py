"""Jobs whose archiving failed, and the request to try again."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from services.gateway.reading.archiving import archiving_failures, failed_jobs
from services.gateway.rest.archiving import MAX_IDS
from shared.broker.connection import dial
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS
from shared.database.engine import opened
from shared.domain.events import JobArchivingFailed
from shared.settings import DatabaseSettings, NatsSettings
from tests.gateway.rows import job_row, write
from tests.gateway.stack import Client
from tests.support.builders import start_payload, stop_payload
from tests.support.plans import explain
from tests.support.waiting import until

LIST, RETRY = "/api/archiving/failures/", "/api/archiving/retry/"


async def _failures(api: Client, query: str = "") -> dict[int, Any]:
    status, answer = await api.get(LIST + query)
    assert status == 200
    return {one["jobId"]: one for one in answer["failures"]}


async def _fail(site: NatsSettings, jobs: list[dict[str, Any]]) -> None:
    client = await dial(site, "test")
    try:
        now = datetime.now(UTC)
        events = [JobArchivingFailed(id=job["id"], cluster="fritz", reason=f"disk {job['jobId']} full", attempts=3) for job in jobs]
        await Publisher(client, site.prefix).publish([Envelope(one, f"failed:{one.id}", "/tests", now) for one in events], deadline_s=30)
    finally:
        await client.close()


async def test_failures_are_listed_with_their_reason_and_retried_one_by_one_or_all(api: Client, site: NatsSettings) -> None:
    for job_id in (1, 2, 3, 4):
        assert (await api.post("/api/jobs/start_job/", start_payload(job_id)))[0] == 201
        assert (await api.post("/api/jobs/stop_job/", stop_payload(job_id)))[0] == 200
    jobs = {job["jobId"]: job for job in (await api.get("/api/jobs/"))[1]["jobs"]}
    assert await _failures(api) == {}
    await _fail(site, [jobs[1], jobs[2], jobs[3]])

    async def all_failed() -> bool:
        return len(await _failures(api)) == 3

    await until(all_failed, 40)
    status, answer = await api.get(f"{LIST}?items-per-page=2")
    assert (status, answer["count"], [one["jobId"] for one in answer["failures"]]) == (200, 3, [3, 2])
    assert list(await _failures(api, "?items-per-page=2&page=2")) == [1]
    one = (await _failures(api))[2]
    assert (one["id"], one["user"], one["reason"], one["isOverdue"]) == (jobs[2]["id"], jobs[2]["user"], "disk 2 full", False)

    ids = [jobs[2]["id"], jobs[4]["id"], 10**12]  # the second has not failed, the third does not exist
    status, answer = await api.post(f"{RETRY}?{'&'.join(f'id={id_}' for id_ in ids)}")
    assert (status, answer) == (200, {"requested": 1, "last": jobs[2]["id"], "hasMore": False})
    assert list(await _failures(api)) == [3, 1]  # the answer came after jobstore had applied the request
    assert await _requested(site) == 1
    assert (await api.post(f"{RETRY}?after={jobs[1]['id']}"))[1]["requested"] == 1
    assert (await api.post(RETRY))[1] == {"requested": 1, "last": jobs[1]["id"], "hasMore": False}
    assert await _failures(api) == {}
    assert (await api.post(RETRY))[1] == {"requested": 0, "last": 0, "hasMore": False}
    assert await _requested(site) == 3


async def _requested(site: NatsSettings) -> int:
    client = await dial(site, "test")
    try:
        subject = f"{site.prefix}.job.archive_requested.fritz"
        info = await client.jetstream(timeout=30).stream_info(site.stream(EVENTS), subjects_filter=subject)
        return sum((info.state.subjects or {}).values())
    finally:
        await client.close()


@pytest.mark.parametrize("query", ["id=x", "id=0", "job=1", "&".join(["id=1"] * (MAX_IDS + 1))])
async def test_an_invalid_request_to_archive_again_is_400(bodies: Client, query: str) -> None:
    assert (await bodies.post(f"{RETRY}?{query}"))[0] == 400


async def test_failures_are_found_by_their_index(database: DatabaseSettings) -> None:
    await write(database, "job", [job_row(key, monitoring_status=2 if key % 100 == 0 else 3) for key in range(1, 1001)])
    statements: list[tuple[str, Any]] = []
    async with opened(database) as engine:

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
            if statement.startswith("SELECT"):
                statements.append((statement, parameters))

        count, rows = await archiving_failures(engine, limit=3, first=1)
        assert (count, [row["id"] for row in rows]) == (10, [900, 800, 700])
        assert await failed_jobs(engine, [], after=900, limit=5) == [(1000, "fritz")]
        async with engine.connect() as connection:
            for statement, parameters in statements[:3]:
                plan = await explain(connection, statement, parameters, is_large=True)
                assert "job_archiving_failed" in plan, plan
    assert len(statements) >= 3
