"""Running jobs are filtered and sorted by their footprint; when they end, the archived footprint replaces it."""

import time
from typing import Any

import pytest

from services.jobstore.rebuild import rebuild
from shared.database.engine import opened
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.metrics.ground import configured_store
from tests.gateway.stack import Client, archiver, gateway, jobstore, token
from tests.jobstore.site import jobstore_settings
from tests.support.builders import start_payload
from tests.support.databases import dump
from tests.support.metric_store import MetricStore, serving
from tests.support.nats import client_of
from tests.support.waiting import until

HOUR = 3600
LEVELS = {"f0101": 10.0, "f0102": 30.0, "f0103": 20.0, "f0104": 40.0, "f0105": 50.0}
QUERY = """query($filter: [JobFilter!], $order: OrderByInput) {
  jobs(filter: $filter, order: $order) { items { jobId energy footprint { name stat value } energyFootprint { metric value } } }
}"""


def store_at(now: int) -> MetricStore:
    """A store with a different load and power for each host, for the last hours and the next one."""
    store = configured_store()
    first, slots = now - 4 * HOUR, range(5 * 60)
    for host, level in LEVELS.items():
        store.add("fritz", host, None, "cpu_load", first, dict.fromkeys(slots, level))
        store.add("fritz", host, "socket0", "cpu_power", first, dict.fromkeys(slots, level * 10))
    return store


async def found(client: Client, **variables: Any) -> list[dict[str, Any]]:
    status, answer = await client.post("/query", {"query": QUERY, "variables": variables}, auth=token("admin", user="root"))
    assert (status, answer.get("errors")) == (200, None)
    jobs: list[dict[str, Any]] = answer["data"]["jobs"]["items"]
    return jobs


def loaded_from(least: float) -> list[dict[str, Any]]:
    return [{"metricStats": [{"metricName": "cpu_load_avg", "range": {"from": least, "to": 1000}}]}]


@pytest.mark.parametrize("columns", [True, False])
async def test_running_jobs_are_found_by_their_footprint_until_it_is_archived(
    site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings, *, columns: bool
) -> None:
    now = int(time.time())
    async with serving(store_at(now)) as url:
        metrics = MetricsSettings(kind="cc-metric-store", url=url)
        async with (
            jobstore(site, database),
            gateway(site, database, archive_settings, metrics=metrics, columns=columns) as client,
            archiver(site, database, archive_settings, metrics, node_health_s=0, footprints_s=0.5, ack_wait_s=5),
        ):
            await until_ready(client)
            for job_id, (host, age_s, monitoring) in enumerate(
                [("f0101", HOUR, 1), ("f0102", 2 * HOUR, 1), ("f0103", HOUR, 1), ("f0104", 300, 1), ("f0105", HOUR, 0)], 1
            ):
                start = start_payload(job_id, nodes=[host], startTime=now - age_s, monitoringStatus=monitoring)
                assert (await client.post("/api/jobs/start_job/", start))[0] == 201

            async def are_measured() -> bool:
                return len(await found(client, filter=loaded_from(1))) == 3

            await until(are_measured, 20, "three footprints")
            assert {job["jobId"] for job in await found(client, filter=loaded_from(15))} == {2, 3}
            by_load = await found(client, order={"field": "cpu_load_avg", "type": "foot", "order": "DESC"})
            assert [job["jobId"] for job in by_load][:3] == [2, 3, 1]
            first = by_load[0]
            assert first["footprint"] == [{"name": "cpu_load", "stat": "avg", "value": 30.0}]
            assert first["energy"] == pytest.approx(0.3 * 2, abs=0.02)
            assert first["energyFootprint"] == [{"metric": "cpu_power", "value": first["energy"]}]
            assert all(not job["footprint"] and not job["energy"] for job in by_load[3:])

            stop = {"jobId": 2, "cluster": "fritz", "stopTime": now - HOUR, "jobState": "completed"}
            assert (await client.post("/api/jobs/stop_job/", stop))[0] == 200

            async def is_archived() -> bool:
                (job,) = await found(client, filter=loaded_from(25))
                return bool(job["energy"] == pytest.approx(0.3, abs=0.001))

            await until(is_archived, 20, "the energy of one hour")
        before = await dump(database, without=("position.build",))
        async with client_of(site) as nats, opened(database) as engine:
            await rebuild(nats, engine, jobstore_settings(site, database), (), lambda *_: None)
        assert await dump(database, without=("position.build",)) == before
