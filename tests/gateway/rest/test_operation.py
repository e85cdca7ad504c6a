"""Rejections and status."""

from typing import Any

import pytest

from shared.settings import DatabaseSettings, NatsSettings
from tests.gateway.rows import write
from tests.gateway.stack import Client
from tests.support.builders import start_payload


def rejection(sequence: int, code: str, time: float) -> dict[str, Any]:
    return {
        "seq": sequence,
        "origin": f"o{sequence}",
        "time": time,
        "code": code,
        "text": "why",
        "excerpt": "job <x>",
        "line": 1,
        "intake_seq": 9,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [30, 20, 10]),
        ("code=invalid_json", [30, 10]),
        ("code=invalid_json&code=unknown_cluster", [30, 20, 10]),
        ("since=200", [30, 20]),
        ("after=20", [30]),
        ("items-per-page=2&page=2", [10]),
    ],
)
async def test_rejections_are_listed_newest_first(
    sqlite_api: Client, sqlite_database: DatabaseSettings, query: str, found: list[int]
) -> None:
    rows = [rejection(10, "invalid_json", 100.5), rejection(20, "unknown_cluster", 200), rejection(30, "invalid_json", 300)]
    await write(sqlite_database, "rejection", rows)
    status, answer = await sqlite_api.get(f"/api/rejections/?{query}")
    assert (status, [one["sequence"] for one in answer["rejections"]]) == (200, found)
    assert answer["rejections"][0]["intakeSequence"] == 9


@pytest.mark.parametrize("query", ["items-per-page=1001", "since=x", "limit=5"])
async def test_a_wrong_question_for_rejections_is_400(sqlite_api: Client, query: str) -> None:
    assert (await sqlite_api.get(f"/api/rejections/?{query}"))[0] == 400


async def test_status_shows_streams_positions_and_jobs(api: Client, site: NatsSettings) -> None:
    await api.post("/api/jobs/start_job/", start_payload(1))
    status, state = await api.get("/api/status/")
    events = next(stream for stream in state["streams"] if stream["name"] == site.stream("EVENTS"))
    assert (status, state["broker"], state["runningJobs"]) == (200, "ok", 1)
    assert (events["lastSequence"], events["position"], events["lag"]) == (1, 1, 0)
