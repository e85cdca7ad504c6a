"""The real services, each as its own user of deploy/nats.conf, process a job from the adapter to the archive."""

import time

import aiohttp
import pytest

from cli.keys import generate, sign_token
from shared.broker.clusters import add_cluster
from shared.broker.streams import provision
from shared.settings import ArchiveSettings, DatabaseSettings
from tests.deploy.conftest import Broker
from tests.support.builders import node_line, start_line, start_payload, stop_line
from tests.support.clusters import cluster_text
from tests.support.databases import query
from tests.support.processes import ServiceRunner
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)


async def test_a_job_goes_from_the_adapter_to_the_archive(
    broker: Broker, service: ServiceRunner, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with broker.connected("operator") as (operator, _):
        await provision(operator, broker.settings("operator"))
        await add_cluster(operator, broker.settings("operator"), cluster_text("fritz"))
    await service.start("ingest", broker.settings("ingest"))
    await service.start("jobstore", broker.settings("jobstore"), sqlite_database)
    await service.start("archiver", broker.settings("archiver"), sqlite_database, archive_settings)
    async with broker.connected("adapter") as (adapter, complaints):
        await adapter.publish("cc.job.event", start_line(1) + stop_line(1))
        await adapter.publish("cc.node.state", node_line())
        await adapter.flush()
        assert complaints == []

    async def archived() -> bool:
        return await query(sqlite_database, "SELECT job_id FROM job WHERE job_state = 'completed' AND monitoring_status = 3") == [(1,)]

    async def node_known() -> bool:
        return bool(await query(sqlite_database, "SELECT 1 FROM node"))

    await until(archived, 20)
    await until(node_known, 20)
    assert len(list(archive_settings.path.glob("fritz/**/meta.json"))) == 1
    assert broker.violations() == []


async def test_the_gateway_writes_and_reads_with_its_own_user(
    broker: Broker, service: ServiceRunner, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with broker.connected("operator") as (operator, _):
        await provision(operator, broker.settings("operator"))
        await add_cluster(operator, broker.settings("operator"), cluster_text("fritz"))
    keys = generate()
    await service.start("jobstore", broker.settings("jobstore"), sqlite_database)
    gateway = await service.start(
        "gateway", broker.settings("gateway"), sqlite_database, archive_settings, JOBTIDE_GATEWAY_JWT_PUBLIC_KEY=keys.public
    )
    headers = {"Authorization": f"Bearer {sign_token(keys.private, 'test', ['api'], 600)}"}
    async with aiohttp.ClientSession(f"http://{gateway.addresses['http']}", headers=headers) as http:

        async def answers(path: str) -> bool:
            async with http.get(path) as answer:
                return answer.status == 200

        await until(lambda: answers("/readyz"), 20)
        async with http.post("/api/jobs/start_job/", json=start_payload(7)) as answer:
            assert answer.status == 201, await answer.text()
        async with http.get("/api/jobs/") as answer:
            assert [job["jobId"] for job in (await answer.json())["jobs"]] == [7]
        assert await answers("/api/status/")
    assert broker.violations() == []


async def test_samples_of_a_collector_are_returned_by_a_query(broker: Broker, service: ServiceRunner) -> None:
    async with broker.connected("operator") as (operator, _):
        await provision(operator, broker.settings("operator"))
        await add_cluster(operator, broker.settings("operator"), cluster_text("fritz"))
    store = await service.start("metricstore", broker.settings("metricstore"))
    now = int(time.time())
    async with broker.connected("adapter") as (adapter, complaints):
        await adapter.publish("cc.metric", f"cpu_load,cluster=fritz,hostname=f0101,type=node value=7 {now}".encode())
        await adapter.flush()
        assert complaints == []
    async with aiohttp.ClientSession(f"http://{store.addresses['http']}") as http:

        async def is_visible() -> bool:
            question = {"cluster": "fritz", "from": now - 60, "to": now + 60, "queries": [{"metric": "cpu_load", "host": "f0101"}]}
            async with http.get("/api/query", json=question) as answer:
                return [element["avg"] for element in (await answer.json())["results"][0]] == [7.0]

        await until(is_visible)
        async with http.post("/api/write", data=f"cpu_load,cluster=fritz,hostname=f0102 value=8 {now}") as answer:
            assert answer.status == 200
    assert broker.violations() == []
