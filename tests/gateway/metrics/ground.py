"""A whole site in one event loop, fed with the recorded jobs and samples: jobstore, archiver, gateway, and the tests' metric store."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.metrics.settings import SeriesSettings
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.accounts import add_people, auth_settings, store_of
from tests.gateway.conftest import until_ready
from tests.gateway.recorded import ACTORS, exchanges, import_sample_jobs
from tests.gateway.stack import Client, archiver, gateway, jobstore
from tests.support.clusters import sample_clusters
from tests.support.metric_store import MetricStore, serving
from tests.support.waiting import until

WINDOW_DAYS = 3650  # the recorded jobs run for a long time


@dataclass
class Ground:
    client: Client
    store: MetricStore
    now: float = 0.0
    ids: dict[str, str] = field(default_factory=dict)  # "cluster/jobId/startTime" to our id

    async def query(self, body: dict[str, Any], actor: str = "admin") -> dict[str, Any]:
        status, answer = await self.client.post("/query", body, auth=ACTORS[actor])
        assert status in (200, 422), answer
        found: dict[str, Any] = answer
        return found

    async def data(self, query: str, actor: str = "admin", **variables: Any) -> Any:
        answer = await self.query({"query": query, "variables": variables}, actor)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def jobs(self) -> list[dict[str, Any]]:
        _, listed = await self.client.get("/api/jobs/?items-per-page=1000")
        found: list[dict[str, Any]] = listed["jobs"]
        return found


def configured_store() -> MetricStore:
    """A store with every metric of the sample clusters."""
    return MetricStore(
        {
            metric.name: (metric.timestep, metric.aggregation or None)
            for cluster in sample_clusters().values()
            for metric in cluster.metric_config
        }
    )


@asynccontextmanager
async def fed_site(
    nats: NatsSettings,
    database: DatabaseSettings,
    archive: ArchiveSettings,
    config: str = "A",
    *,
    series: SeriesSettings | None = None,
    graphql: GraphqlSettings | None = None,
) -> AsyncIterator[Ground]:
    """A site with everything that was sent to the recorded server before its first query, archived."""
    await import_sample_jobs(nats, archive)
    store = configured_store()
    async with store_of(database) as people:
        await add_people(people)
    async with serving(store) as url:
        metrics = MetricsSettings(kind="cc-metric-store", url=url, max_window_days=WINDOW_DAYS)
        ground: list[Ground] = []
        async with (
            jobstore(nats, database),
            gateway(
                nats,
                database,
                archive,
                metrics=metrics,
                series=series,
                graphql=graphql,
                auth=auth_settings(),
                clock=lambda: ground[0].now if ground else time.time(),
            ) as client,
            archiver(nats, database, archive, metrics, node_health_s=0, footprints_s=0),
        ):
            ground.append(Ground(client, store))
            await until_ready(client)
            await _feed(ground[0], feed(config))
            yield ground[0]


def feed(config: str) -> list[dict[str, Any]]:
    return [exchange for exchange in exchanges("graphql.jsonl") if exchange["config"] == config and "feed-" in exchange["name"]]


async def _feed(ground: Ground, recorded: list[dict[str, Any]]) -> None:
    for exchange in recorded:
        request = exchange["request"]
        ground.now = exchange["at"]
        if request["path"] == "/api/write":
            ground.store.now = exchange["at"]
            ground.store.write(request["body"])
        elif request["path"] in ("/api/jobs/start_job/", "/api/jobs/stop_job/", "/api/nodestate/", "/api/user/mgr"):
            status, answer = await ground.client.call(
                "POST", request["path"], data=request["body"].encode(), auth=ACTORS[exchange["actor"]]
            )
            assert status == exchange["response"]["status"], (exchange["name"], answer)

    async def archived() -> bool:
        jobs = await ground.jobs()
        return all(job["jobState"] == "running" or job.get("monitoringStatus", 0) in (0, 2, 3) for job in jobs)

    await until(archived, 60)
    ground.ids = {f"{job['cluster']}/{job['jobId']}/{job['startTime']}": str(job["id"]) for job in await ground.jobs()}
