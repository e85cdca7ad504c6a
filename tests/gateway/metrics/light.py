"""A gateway over rows and samples written by the test, without other services."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update

from services.gateway.metrics.settings import SeriesSettings
from shared.database.engine import opened, transaction
from shared.database.tables import tables
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.metrics.ground import configured_store
from tests.gateway.recorded import ACTORS
from tests.gateway.rows import job_row, write
from tests.gateway.stack import Client, gateway
from tests.support.builders import START_TIME
from tests.support.metric_store import MetricStore, serving

MINUTE = 60


@dataclass
class Light:
    client: Client
    store: MetricStore
    database: DatabaseSettings
    archive: ArchiveSettings

    async def ask(self, query: str, actor: str = "admin", **variables: Any) -> dict[str, Any]:
        status, answer = await self.client.post("/query", {"query": query, "variables": variables}, auth=ACTORS[actor])
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    async def job_metrics(self, key: int, **arguments: Any) -> dict[tuple[str, str], dict[str, Any]]:
        """Metrics by name and scope."""
        answer = await self.ask(
            "query($i:ID!,$m:[String!],$s:[MetricScope!],$r:Int){ jobMetrics(id:$i,metrics:$m,scopes:$s,resolution:$r)"
            " { name scope metric { timestep series { hostname id statistics { avg min max } data }"
            " statisticsSeries { mean median min max } } } }",
            i=str(key),
            **arguments,
        )
        assert "errors" not in answer, answer
        return {(one["name"], one["scope"]): one["metric"] for one in answer["data"]["jobMetrics"]}

    def measured(self, host: str, metric: str, component: str | None, *values: float, cluster: str = "fritz", after_s: int = 0) -> None:
        """Add one sample per minute, from ``after_s`` after the jobs' start."""
        self.store.add(cluster, host, component, metric, START_TIME + after_s, dict(enumerate(values)))

    async def change(self, key: int, **columns: Any) -> None:
        async with opened(self.database) as engine, transaction(engine) as connection:
            await connection.execute(update(tables.job).where(tables.job.c.id == key).values(**columns))


def running_job(key: int, *hosts: str, **columns: Any) -> dict[str, Any]:
    resources = json.dumps([{"hostname": host} for host in hosts])
    return job_row(key, start_time=START_TIME, job_state="running", duration=0, resources=resources, num_nodes=len(hosts)) | columns


@asynccontextmanager
async def light_site(
    nats: NatsSettings,
    database: DatabaseSettings,
    archive: ArchiveSettings,
    jobs: list[dict[str, Any]],
    *,
    series: SeriesSettings | None = None,
    minutes: int = 10,
) -> AsyncIterator[Light]:
    """The clock of the gateway is ``minutes`` after the jobs' start."""
    await write(database, "job", jobs)
    store = configured_store()
    async with serving(store) as url:
        metrics = MetricsSettings(kind="cc-metric-store", url=url, tries=1)
        now = START_TIME + minutes * MINUTE
        async with gateway(nats, database, archive, metrics=metrics, series=series, clock=lambda: now) as client:
            await until_ready(client)
            yield Light(client, store, database, archive)
