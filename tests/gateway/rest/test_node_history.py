"""The number of nodes in each state over time, as a chart draws it."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from services.gateway.reading.model import TextMatch
from services.gateway.reading.nodes import MAX_HOLD_S, NodeFilter, NodeQueries
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.rows import NODE_COLUMNS, every_node, write

COUNTS = dict.fromkeys(("cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running"), 0) | {"states": "[]"}
# The last report is at 400, but node 3 was not reported after 200.
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
        {**NODE_COLUMNS, "id": key, "hostname": f"f{key}", "node_state": state, "time_stamp": 200 if key == 3 else 400}
        for key, state in last.items()
    ]
    await write(database, "node", nodes)
    await write(database, "node_state", [{**COUNTS, **row} for row in rows(STATES, "node_state")])
    await write(database, "node_health", rows(CHECKS, "health_state"))
    async with opened(database, read_only=True) as engine:
        yield NodeQueries(engine, every_node(engine))


def drawn(points: list[tuple[str, int, int]], state: str, time: int) -> float | None:
    """The value that a chart with straight lines shows for a state; None outside of its points."""
    of_state = [(at, count) for name, at, count in points if name == state]
    for (begin, first), (end, last) in pairwise(of_state):
        if begin <= time <= end:
            return first + (last - first) * (time - begin) / (end - begin)
    return float(of_state[0][1]) if of_state and of_state[0][0] == time else None


TRUTH = [(100, 199, {"idle": 4}), (200, 200, {"idle": 3, "down": 1}), (201, 299, {"idle": 3}), (300, 400, {"idle": 2, "allocated": 1})]


@pytest.mark.parametrize("after", [-1, 99, 100, 150, 199, 200, 201, 250, 299, 300, 399])
async def test_a_chart_of_the_answer_shows_the_true_counts_from_the_start_of_the_window_to_the_latest_report(
    queries: NodeQueries, after: int
) -> None:
    points = await queries.history([NodeFilter(after=after)], "node")
    wrong = [
        (state, time, drawn(points, state, time))
        for begin, end, counts in TRUTH
        for time in range(max(begin, after), end + 1)
        for state in ("idle", "down", "allocated")
        if (drawn(points, state, time) or 0) != counts.get(state, 0)
    ]
    assert wrong == []
    assert {time for _, time, _ in points if not max(after, 99) <= time <= 400} == set()


async def test_unchanged_states_have_points_before_each_change_and_at_the_latest_report(queries: NodeQueries) -> None:
    assert [point for point in await queries.history([], "node") if point[0] == "idle"] == [
        ("idle", 100, 4),
        ("idle", 199, 4),
        ("idle", 200, 3),
        ("idle", 201, 3),
        ("idle", 299, 3),
        ("idle", 300, 2),
        ("idle", 400, 2),
    ]


async def test_a_window_begins_with_the_states_that_held_before(queries: NodeQueries) -> None:
    after = [NodeFilter(after=310), NodeFilter(after=250)]
    expected = [("allocated", 310, 1), ("allocated", 400, 1), ("idle", 310, 2), ("idle", 400, 2)]
    assert await queries.history(after, "node") == expected
    assert await queries.history([NodeFilter(after=400)], "node") == []


async def test_a_check_holds_until_the_next_one(queries: NodeQueries) -> None:
    points = await queries.history([], "health")
    assert [(time, drawn(points, "full", time), drawn(points, "partial", time)) for time in (100, 249, 250, 400)] == [
        (100, 2, None),
        (249, 2, 0),
        (250, 1, 1),
        (400, 1, 1),
    ]


async def test_a_cluster_that_reported_shortly_before_another_one_counts_until_the_latest_report(
    database: DatabaseSettings, queries: NodeQueries
) -> None:
    for key, cluster, reported in ((8, "alex", 400 + 60), (9, "emmy", 400 + 60 + MAX_HOLD_S)):
        await write(
            database,
            "node",
            [{**NODE_COLUMNS, "id": key, "cluster": cluster, "hostname": f"f{key}", "node_state": "mixed", "time_stamp": reported}],
        )
        await write(database, "node_state", [{**COUNTS, "id": key + 90, "node_id": key, "time_stamp": 300, "node_state": "mixed"}])
        points = await queries.history([], "node")
        is_held = key == 8  # for 9, the latest report is too much later
        assert drawn(points, "allocated", reported) == (1 if is_held else None)
        assert drawn(points, "mixed", reported) == (1 if is_held else 2)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([NodeFilter(scheduler_state="down")], [("down", 199, 0), ("down", 200, 1), ("down", 201, 0)]),
        ([NodeFilter(scheduler_state="down"), NodeFilter(scheduler_state="idle")], []),
        (
            [NodeFilter(hostname=TextMatch("eq", ("f3",)))],
            [("down", 199, 0), ("down", 200, 1), ("idle", 100, 1), ("idle", 199, 1), ("idle", 200, 0)],
        ),
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


async def test_the_records_of_a_node_begin_with_the_one_that_held_at_the_start(queries: NodeQueries) -> None:
    node = await queries.by_name("fritz", "f1")
    assert node is not None
    found = await queries.records(node.id, 150, 300)
    assert [(row.time_stamp, row.node_state) for row in found.states] == [(100, "idle")]
    assert [(row.time_stamp, row.health_state) for row in found.health] == [(100, "full"), (250, "partial")]
    whole = await queries.records(node.id, -(2**40), 301)
    assert [row.time_stamp for row in whole.states] == [100, 300]
    assert not (await queries.records(node.id, 50, 90)).states
    for cluster, host in (("fritz", "f9"), ("alex", "f1"), ("fritz", "f1\0")):
        assert await queries.by_name(cluster, host) is None


async def test_the_troubles_of_nodes_are_the_changes_into_and_out_of_states_without_use(
    database: DatabaseSettings, queries: NodeQueries
) -> None:
    more = {3: {210: "down", 320: "idle"}, 1: {150: "mixed", 310: "unknown"}}
    rows = [(key, time, state) for key, states in more.items() for time, state in states.items()]
    await write(
        database,
        "node_state",
        [COUNTS | {"id": 900 + n, "node_id": key, "time_stamp": time, "node_state": state} for n, (key, time, state) in enumerate(rows)],
    )
    found = await queries.troubles("fritz", ["f1", "f3", "f9"], 100, 400)
    assert [(row.hostname, row.time_stamp, row.node_state) for row in found] == [
        ("f3", 200, "down"),
        ("f1", 310, "unknown"),
        ("f3", 320, "idle"),
    ]
    assert await queries.troubles("alex", ["f1", "f3"], 100, 400) == []
    begun_in_trouble = await queries.troubles("fritz", ["f3"], 205, 315)
    assert [(row.time_stamp, row.node_state) for row in begun_in_trouble] == [(210, "down")]
