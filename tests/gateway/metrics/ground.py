"""A whole site in one event loop, fed with the recorded jobs and samples: jobstore, archiver, gateway, and the tests' metric store."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.archiver.app import run as run_archiver
from services.archiver.settings import ArchiverSettings
from services.archiver.settings import Settings as AllArchiverSettings
from services.gateway.metrics.settings import SeriesSettings
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.recorded import ACTORS, exchanges, import_sample_jobs
from tests.gateway.stack import Client, gateway, jobstore, running
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

    async def again(self, exchange: dict[str, Any]) -> dict[str, Any]:
        """Ask a recorded query, with our ids."""
        body = json.loads(exchange["request"]["body"])
        known = {key.partition(":")[2]: identity for key, identity in (exchange.get("ids") or {}).items() if key.startswith("job:")}
        variables = body.get("variables") or {}
        if variables.get("i") in known:
            variables["i"] = self.ids[known[variables["i"]]]
        return await self.query(body, exchange["actor"])

    async def jobs(self) -> list[dict[str, Any]]:
        _, listed = await self.client.get("/api/jobs/?items-per-page=1000")
        found: list[dict[str, Any]] = listed["jobs"]
        return found


def configured_store() -> MetricStore:
    """With every metric of the sample clusters."""
    return MetricStore(
        {
            metric.name: (metric.timestep, metric.aggregation or None)
            for cluster in sample_clusters().values()
            for metric in cluster.metric_config
        }
    )


@asynccontextmanager
async def fed_site(
    nats: NatsSettings, database: DatabaseSettings, archive: ArchiveSettings, config: str = "A", series: SeriesSettings | None = None
) -> AsyncIterator[Ground]:
    """Everything that the recording was fed with before its first query, archived."""
    await import_sample_jobs(nats, archive)
    store = configured_store()
    feed = [exchange for exchange in exchanges("graphql.jsonl") if exchange["config"] == config and "feed-" in exchange["name"]]
    async with serving(store) as url:
        metrics = MetricsSettings(kind="cc-metric-store", url=url, max_window_days=WINDOW_DAYS)
        archiver = ArchiverSettings(health="127.0.0.1:0", node_health_s=0, footprints_s=0)
        ground: list[Ground] = []
        async with (
            jobstore(nats, database),
            gateway(nats, database, archive, metrics=metrics, series=series, clock=lambda: ground[0].now if ground else 0.0) as client,
            running(lambda stop, report: run_archiver(AllArchiverSettings(nats, database, archive, metrics, archiver), stop, report)),
        ):
            ground.append(Ground(client, store))
            await until_ready(client)
            await _feed(ground[0], feed)
            yield ground[0]


async def _feed(ground: Ground, feed: list[dict[str, Any]]) -> None:
    for exchange in feed:
        request = exchange["request"]
        ground.now = exchange["at"]
        if request["path"] == "/api/write":
            ground.store.now = exchange["at"]
            ground.store.write(request["body"])
        elif request["path"] in ("/api/jobs/start_job/", "/api/jobs/stop_job/", "/api/nodestate/"):
            status, answer = await ground.client.call("POST", request["path"], data=request["body"].encode())
            assert status == exchange["response"]["status"], (exchange["name"], answer)

    async def archived() -> bool:
        jobs = await ground.jobs()
        return all(job["jobState"] == "running" or job.get("monitoringStatus", 0) in (0, 2, 3) for job in jobs)

    await until(archived, 60)
    ground.ids = {f"{job['cluster']}/{job['jobId']}/{job['startTime']}": str(job["id"]) for job in await ground.jobs()}
