"""Three brokers with replicated streams: the leader dies, followers and leaders freeze, and the jobs are counted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.broker.streams import EVENTS, INTAKE
from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import MakeStack
from tests.support.adapter import load
from tests.support.clusters import add_clusters_blocking
from tests.support.nats import unique_settings
from tests.support.nats_cluster import NAMES, NatsCluster, members_of, provision_cluster_blocking, remember_message_ids_blocking
from tests.support.workload import workload

REMEMBERED_S = 120.0  # longer than the adapter repeats a message
FROZEN_S = 4.0  # longer than a follower waits for its leader
DOWN_S = 2.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    servers = NatsCluster(folder)
    try:
        for name in NAMES:
            servers.start(name)
        yield servers
    finally:
        servers.end_all()


@pytest.fixture
def replicated_site(cluster: NatsCluster) -> NatsSettings:
    settings = unique_settings(cluster.url).model_copy(update={"replicas": len(NAMES)})
    provision_cluster_blocking(settings)
    remember_message_ids_blocking(settings, INTAKE, for_s=REMEMBERED_S)
    add_clusters_blocking(settings)
    return settings


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_killed_leader_and_frozen_members_lose_and_duplicate_nothing(
    make_stack: MakeStack, cluster: NatsCluster, replicated_site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    plan = workload(seed=61, jobs=500)
    stack = make_stack(replicated_site, sqlite_database)
    await stack.up()
    async with load(replicated_site, plan.messages, over_s=15):
        for stream in (EVENTS, INTAKE):
            leader, *_ = await members_of(replicated_site, stream)
            cluster.kill(leader)
            await asyncio.sleep(DOWN_S)  # the load goes on meanwhile
            cluster.start(leader)
        _, follower, *_ = await members_of(replicated_site, EVENTS)
        await _freeze(cluster, follower)
        leader, *_ = await members_of(replicated_site, INTAKE)
        await _freeze(cluster, leader)
    await stack.verify(plan, deadline_s=90)


async def _freeze(cluster: NatsCluster, name: str) -> None:
    cluster.pause(name)
    try:
        await asyncio.sleep(FROZEN_S)  # the load goes on meanwhile
    finally:
        cluster.resume(name)
