"""Nodes that left their cluster are neither listed nor counted; nodes that are no longer reported become ``unknown``."""

import json
from collections.abc import AsyncIterator, Mapping

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.metrics.hosts import HostFilter, Hosts, HostState
from services.gateway.reading.model import Slice
from services.gateway.reading.nodes import NodeFilter, NodeQueries
from services.gateway.reading.roster import Roster
from shared.broker.clusters import add_cluster
from shared.database.engine import opened
from shared.domain.clusters import Cluster, read_cluster
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.rows import no_clusters, write
from tests.gateway.stack import gateway, jobstore, token
from tests.support.clusters import cluster_text
from tests.support.nats import client_of
from tests.support.waiting import until

NOW = 100_000
UNKNOWN_AFTER_S = 3600
FRITZ = read_cluster(cluster_text("fritz"))
COLUMNS = {
    "cluster": "fritz", "subcluster": "main", "node_state": "idle", "states": '["idle"]', "health_state": "full", "time_stamp": NOW,
    "cpus_allocated": 0, "memory_allocated": 0, "gpus_allocated": 0, "jobs_running": 0, "report_seq": 1, "kept_at": NOW,
}  # fmt: skip
NODES = [
    {"id": 1, "hostname": "f0101"},
    {"id": 2, "hostname": "f0102", "time_stamp": NOW - UNKNOWN_AFTER_S},
    {"id": 3, "hostname": "f0103", "time_stamp": NOW - UNKNOWN_AFTER_S - 1},
    {"id": 4, "hostname": "gone"},
    {"id": 5, "hostname": "f0104", "cluster": "former"},
]


@pytest.fixture
async def engine(database: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    await write(database, "node", [COLUMNS | node for node in NODES])
    async with opened(database, read_only=True) as engine:
        yield engine


def roster(engine: AsyncEngine, *, unknown_after_s: float = UNKNOWN_AFTER_S) -> Roster:
    return Roster(engine, lambda: {"fritz": FRITZ}, lambda: NOW, unknown_after_s=unknown_after_s)


async def test_nodes_that_left_are_neither_listed_nor_counted_and_silent_ones_are_unknown(engine: AsyncEngine) -> None:
    queries = NodeQueries(engine, roster(engine))
    assert [(row.hostname, row.node_state) for row in await queries.all([])] == [("f0101", "idle"), ("f0102", "idle"), ("f0103", "unknown")]
    assert await queries.count([], "node") == [("idle", 2), ("unknown", 1)]
    assert await queries.count([], "health") == [("full", 3)]


async def test_a_filter_finds_nodes_by_the_state_that_is_shown(engine: AsyncEngine) -> None:
    queries = NodeQueries(engine, roster(engine))
    assert [row.hostname for row in await queries.all([NodeFilter(scheduler_state="unknown")])] == ["f0103"]
    assert await queries.count([NodeFilter(scheduler_state="idle")], "health") == [("full", 2)]


async def test_without_the_setting_a_silent_node_keeps_its_state(engine: AsyncEngine) -> None:
    queries = NodeQueries(engine, roster(engine, unknown_after_s=0))
    assert await queries.count([], "node") == [("idle", 3)]


async def test_before_the_clusters_are_known_every_node_is_listed(engine: AsyncEngine) -> None:
    queries = NodeQueries(engine, Roster(engine, no_clusters, lambda: NOW, unknown_after_s=0))
    assert await queries.count([], "node") == [("idle", 5)]


async def test_pages_of_hosts_are_about_the_same_nodes(engine: AsyncEngine) -> None:
    hosts = Hosts(engine, roster(engine))
    assert (await hosts.page(HostFilter(FRITZ), Slice())).hosts == ["f0101", "f0102", "f0103"]
    assert (await hosts.page(HostFilter(FRITZ, state="unknown"), Slice())).hosts == ["f0103"]
    assert await hosts.states("fritz", ["f0103"]) == {"f0103": HostState("unknown", "full")}


async def test_a_cluster_that_comes_back_has_its_nodes_again(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.reading.roster.REFRESH_S", 0.0)
    clusters: dict[str, Cluster] = {"fritz": FRITZ}

    def configured() -> Mapping[str, Cluster]:
        return clusters

    queries = NodeQueries(engine, Roster(engine, configured, lambda: NOW, unknown_after_s=0))
    assert await queries.count([], "node") == [("idle", 3)]
    clusters["former"] = FRITZ.model_copy(update={"name": "former"})
    assert await queries.count([], "node") == [("idle", 4)]


QUERY = '{ nodes { items { hostname } } nodeStates(filter: [{schedulerState: "idle"}]) { state count } }'


async def test_a_node_that_leaves_the_cluster_json_disappears_without_a_restart(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings) as client:
        await until_ready(client)
        nodes = [{"hostname": host, "states": ["idle"]} for host in ("f0101", "f0102")]
        assert (await client.post("/api/nodestate/", {"cluster": "fritz", "nodes": nodes}))[0] == 200

        async def shown() -> list[str]:
            _, answer = await client.post("/query", {"query": QUERY}, auth=token("admin"))
            hosts = [node["hostname"] for node in answer["data"]["nodes"]["items"]]
            assert sum(state["count"] for state in answer["data"]["nodeStates"] if state["state"] == "idle") == len(hosts)
            return hosts

        async def both() -> bool:
            return await shown() == ["f0101", "f0102"]

        async def one() -> bool:
            return await shown() == ["f0101"]

        await until(both, 30)
        smaller = json.loads(cluster_text("fritz"))
        smaller["subClusters"] = [sub | {"nodes": "f0101"} for sub in smaller["subClusters"][:1]]
        async with client_of(site) as broker:
            await add_cluster(broker, site, json.dumps(smaller).encode())
        await until(one, 30)
