"""Nodes by state in time: what was recorded, and in between what still holds."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.reading.model import TextMatch
from services.gateway.reading.nodes import NodeFilter, NodeQueries
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.rows import write

NODE = {
    "cluster": "fritz",
    "subcluster": "main",
    "states": "[]",
    "cpus_allocated": 0,
    "memory_allocated": 0,
    "gpus_allocated": 0,
    "jobs_running": 0,
    "report_seq": 1,
    "kept_at": 0,
}
COUNTS = dict.fromkeys(("cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running"), 0) | {"states": "[]"}
# Reported last at 400, but for node 3, of which nothing was heard after 200.
STATES = {
    1: {100: "idle", 300: "allocated"},
    2: {100: "idle"},
    3: {100: "idle", 200: "down"},
    4: {100: "idle", 400: "idle"},
}
CHECKS = {1: {100: "full", 250: "partial"}, 2: {100: "full"}}


@pytest.fixture
async def queries(database: DatabaseSettings) -> AsyncIterator[NodeQueries]:
    def rows(history: dict[int, dict[int, str]], column: str) -> list[dict[str, Any]]:
        found = [(key, time, state) for key, states in history.items() for time, state in states.items()]
        return [{"id": n, "node_id": key, "time_stamp": time, column: state} for n, (key, time, state) in enumerate(found)]

    last = {1: "allocated", 2: "idle", 3: "down", 4: "idle"}
    nodes = [
        {**NODE, "id": key, "hostname": f"f{key}", "node_state": state, "time_stamp": 200 if key == 3 else 400}
        for key, state in last.items()
    ]
    await write(database, "node", nodes)
    await write(database, "node_state", [{**COUNTS, **row} for row in rows(STATES, "node_state")])
    await write(database, "node_health", rows(CHECKS, "health_state"))
    async with opened(database, read_only=True) as engine:
        yield NodeQueries(engine)


async def test_what_is_not_recorded_anew_still_holds_until_the_last_report(queries: NodeQueries) -> None:
    assert await queries.history([], "node") == [
        ("allocated", 300, 1),
        ("allocated", 400, 1),
        ("down", 200, 1),
        ("idle", 100, 4),
        ("idle", 200, 3),
        ("idle", 300, 2),
        ("idle", 400, 2),
    ]


async def test_a_window_begins_with_what_held_before(queries: NodeQueries) -> None:
    after = [NodeFilter(after=300), NodeFilter(after=250)]
    assert await queries.history(after, "node") == [("allocated", 400, 1), ("idle", 400, 2)]
    assert await queries.history([NodeFilter(after=400)], "node") == []


async def test_checks_hold_until_the_next_one(queries: NodeQueries) -> None:
    assert await queries.history([], "health") == [("full", 100, 2), ("full", 250, 1), ("partial", 250, 1)]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([NodeFilter(scheduler_state="down")], [("down", 200, 1)]),
        ([NodeFilter(scheduler_state="down"), NodeFilter(scheduler_state="idle")], []),
        ([NodeFilter(hostname=TextMatch("eq", ("f3",)))], [("down", 200, 1), ("idle", 100, 1)]),
        ([NodeFilter(cluster=TextMatch("eq", ("alex",)))], []),
        ([NodeFilter(health_state="partial")], []),
    ],
)
async def test_filters(queries: NodeQueries, where: list[NodeFilter], found: list[tuple[str, int, int]]) -> None:
    assert await queries.history(where, "node") == found


async def test_every_report_of_one_second_counts(database: DatabaseSettings, queries: NodeQueries) -> None:
    await write(database, "node_state", [{**COUNTS, "id": 99, "node_id": 4, "time_stamp": 400, "node_state": "mixed"}])
    assert [row for row in await queries.history([], "node") if row[1] == 400] == [
        ("allocated", 400, 1),
        ("idle", 400, 2),
        ("mixed", 400, 1),
    ]
