"""Metric data of nodes and clusters over GraphQL."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.metrics.light import Light, light_site, running_job
from tests.gateway.rows import write
from tests.support.builders import START_TIME


def time_text(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def window(minutes: int = 3) -> str:
    return f'from: "{time_text(START_TIME)}", to: "{time_text(START_TIME + 60 * minutes)}"'


def node_row(key: int, hostname: str, **columns: Any) -> dict[str, Any]:
    return {
        "id": key,
        "hostname": hostname,
        "cluster": "fritz",
        "subcluster": "main",
        "time_stamp": START_TIME,
        "node_state": "allocated",
        "states": "[]",
        "cpus_allocated": 0,
        "memory_allocated": 0,
        "gpus_allocated": 0,
        "jobs_running": 0,
        "report_seq": key,
        "kept_at": 0,
        "health_state": "partial",
    } | columns


@pytest.fixture
async def light(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Light]:
    """f0101 to f0103 are in the database, all but the last with data; another host has data but no row."""
    await write(database, "node", [node_row(key, f"f010{key}") for key in (1, 2)] + [node_row(3, "f0103", node_state="idle")])
    async with light_site(site, database, archive_settings, [running_job(1, "f0101")]) as found:
        found.measured("f0101", "cpu_load", None, 1.0, 2.0, 3.0)
        found.measured("f0102", "cpu_load", None, 10.0, after_s=60)
        found.measured("f0188", "mem_used", None, 2000.0)
        for socket in range(2):
            found.measured("f0101", "mem_bw", f"socket{socket}", 100.0 + socket, 200.0)
        yield found


async def answered(light: Light, query: str) -> Any:
    answer = await light.ask(f"{{ {query} }}")
    assert "errors" not in answer, answer
    (found,) = answer["data"].values()
    return found


NODE = "host nodeState metricHealth subCluster metrics { name scope metric { timestep series { hostname id data statistics { avg } } } }"


async def test_node_metrics_are_of_the_chosen_hosts_or_all_in_the_store(light: Light) -> None:
    asked = f'nodeMetrics(cluster: "fritz", nodes: ["f0102", "nope", "f0101"], metrics: ["cpu_load", "mem_bw"], {window()}) {{ {NODE} }}'
    found = await answered(light, asked)
    assert [(one["host"], one["nodeState"], one["metricHealth"], one["subCluster"]) for one in found] == [
        ("f0102", "allocated", "partial", "main"),
        ("f0101", "allocated", "partial", "main"),
    ]
    parts = {(one["host"], metric["name"]): metric for one in found for metric in one["metrics"]}
    assert parts["f0102", "cpu_load"]["metric"]["series"][0]["data"] == [None, 10]
    assert parts["f0101", "mem_bw"]["metric"]["series"] == [
        {"hostname": "f0101", "id": None, "data": [201, 400], "statistics": {"avg": 300.5}}
    ]
    everybody = await answered(light, f'nodeMetrics(cluster: "fritz", {window()}) {{ host nodeState metrics {{ name }} }}')
    assert [(one["host"], one["nodeState"]) for one in everybody] == [("f0101", "allocated"), ("f0102", "allocated"), ("f0188", "")]


async def test_a_page_of_nodes_has_every_metric_in_every_scope_even_without_data(light: Light) -> None:
    found = await answered(
        light,
        f'nodeMetricsList(cluster: "fritz", subCluster: "", stateFilter: "all", nodeFilter: "F01", scopes: [node, socket],'
        f' metrics: ["mem_bw"], {window()}, page: {{itemsPerPage: 2, page: 1}}) {{ totalNodes hasNextPage items {{ {NODE} }} }}',
    )
    assert (found["totalNodes"], found["hasNextPage"]) == (3, True)
    parts = {(one["host"], metric["scope"]): metric["metric"]["series"] for one in found["items"] for metric in one["metrics"]}
    assert [(one["id"], one["data"]) for one in parts["f0101", "socket"]] == [("0", [100, 200]), ("1", [101, 200])]
    assert [(one["id"], one["data"]) for one in parts["f0101", "node"]] == [(None, [201, 400])]
    assert parts["f0102", "node"] == parts["f0102", "socket"] == []


PAGES = [
    ("idle", "{itemsPerPage: 5, page: 1}", ["f0103"], 1, False),
    ("all", "{itemsPerPage: -1, page: 1}", ["f0101", "f0102", "f0103"], 3, False),
    ("all", "null", ["f0101", "f0102", "f0103"], 3, False),
    ("all", "{itemsPerPage: 3, page: 2}", [], 3, False),
    ("notindb", "{itemsPerPage: 2, page: 1}", ["f0104", "f0105"], 7, True),  # to f0109, and f1010
    ("notindb", "{itemsPerPage: 2, page: 9}", [], 7, False),
]


async def test_pages_of_nodes_have_totals_and_a_next_page(light: Light) -> None:
    for state, page, hosts, total, has_next in PAGES:
        found = await answered(
            light,
            f'nodeMetricsList(cluster: "fritz", subCluster: "main", stateFilter: "{state}", nodeFilter: "010", metrics: ["cpu_load"],'
            f" {window()}, page: {page}) {{ totalNodes hasNextPage items {{ host metrics {{ name scope }} }} }}",
        )
        assert ([one["host"] for one in found["items"]], found["totalNodes"], found["hasNextPage"]) == (hosts, total, has_next)
        assert all(one["metrics"] == [{"name": "cpu_load", "scope": "node"}] for one in found["items"])


async def test_cluster_metrics_are_the_sum_over_all_hosts(light: Light) -> None:
    found = await answered(
        light, f'clusterMetrics(cluster: "fritz", {window()}) {{ nodeCount metrics {{ name unit {{ base prefix }} timestep data }} }}'
    )
    assert found["nodeCount"] == 3
    assert {one["name"]: (one["unit"], one["data"]) for one in found["metrics"]} == {
        "cpu_load": ({"base": "", "prefix": ""}, [1, 12, 3]),
        "mem_used": ({"base": "B", "prefix": "T"}, [2]),
        "mem_bw": ({"base": "B/s", "prefix": "T"}, [0.201, 0.4]),
    }


async def test_invalid_arguments_are_named_in_the_error(light: Light) -> None:
    for query in (
        f'nodeMetrics(cluster: "nowhere", {window()}) {{ host }}',
        f'clusterMetrics(cluster: "nowhere", {window()}) {{ nodeCount }}',
        f'nodeMetrics(cluster: "fritz", {window(-1)}) {{ host }}',
        f'clusterMetrics(cluster: "fritz", {window(-1)}) {{ nodeCount }}',
        f'nodeMetricsList(cluster: "fritz", subCluster: "nope", stateFilter: "all", nodeFilter: "", {window()}) {{ totalNodes }}',
    ):
        answer = await light.ask(f"{{ {query} }}")
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert any(word in answer["errors"][0]["message"] for word in ("cluster", "from, to"))


async def test_node_metrics_are_for_staff_only(light: Light) -> None:
    for actor, is_allowed in (("support", True), ("manager", False), ("user", False), ("api", False)):
        answer = await light.ask(f'{{ nodeMetrics(cluster: "fritz", nodes: [], {window()}) {{ host }} }}', actor)
        assert ("errors" not in answer) == is_allowed
        if not is_allowed:
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
