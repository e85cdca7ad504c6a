"""The site that the pages are measured on: a history, archived jobs with samples, 2,000 nodes, and people who sign in."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time

from bench.context import Bench
from bench.dashboard.gateway import Gateway, gateway_over
from bench.history.archive import archive_largest
from bench.history.clusters import METRICS
from bench.history.people import PEOPLE
from bench.history.stores import Store
from bench.load.samples import CLUSTER, STEP_S, cluster_json, host, messages
from bench.pages.browser import Chromium, started_chromium
from bench.support.database import execute, reading
from bench.support.samples import write_samples
from bench.support.site import EVENT_PATH, PreparedSite
from services.gateway.people.auth.hashes import hash_password
from shared.broker.clusters import add_cluster
from tests.support.builders import node_line
from tests.support.nats import client_of, publish
from tests.support.waiting import until

PLOTTED = 50  # jobs of a page of plots
SAMPLES = 300  # of their series: a thumbnail of them has the same size as that of more
LONG_SAMPLES = 1440  # 24 h of the job with all metrics
# With those of the clusters: 20.
EXTRA_METRICS = {f"metric{number:02d}": ("", "B/s", "M", 900.0) for number in range(12)}
ADMIN, PASSWORD = "chief", "a-password-of-the-bench"
USER = PEOPLE.names[0]  # who has most jobs


@dataclass(slots=True)
class PagesSite:
    """``plotted`` and ``long_job`` are ids of archived jobs with samples; ``admin`` and ``user`` are cookies."""

    gateway: Gateway
    chromium: Chromium
    plotted: list[int]
    long_job: int
    admin: object = field(repr=False)
    user: object = field(repr=False)

    @property
    def setting(self) -> dict[str, str]:
        return self.gateway.setting | {"services": "gateway, jobstore, ingest, metric store"}

    @property
    def url(self) -> str:
        assert self.gateway.site.http is not None
        return self.gateway.site.http


@asynccontextmanager
async def pages_site(bench: Bench) -> AsyncIterator[PagesSite]:
    ids: list[int] = []

    async def prepare(prepared: PreparedSite, store: Store) -> Mapping[str, str]:
        bench.say(f"archiving {PLOTTED} jobs, and one with all metrics; samples of {bench.scale.page_nodes:,} nodes")
        ids.extend(await archive_largest(store.database, prepared.archive, 1, LONG_SAMPLES, metrics=METRICS | EXTRA_METRICS))
        ids.extend(await archive_largest(store.database, prepared.archive, PLOTTED, SAMPLES, skip=1))
        await _add_people(store)
        async with client_of(prepared.nats) as client:
            await add_cluster(client, prepared.nats, cluster_json())
        site = await prepared.start("metricstore", JOBTIDE_METRICSTORE_PATH=str(prepared.archive.with_name("samples")))
        url = f"http://{site.services['metricstore'].addresses['http']}"
        now = int(time()) // STEP_S * STEP_S
        await write_samples(url, list(messages(bench.scale.page_nodes, now, 1)))
        return {"JOBTIDE_METRICS_KIND": "cc-metric-store", "JOBTIDE_METRICS_URL": url}

    async with gateway_over(bench, "sqlite", bench.scale.history, *EVENT_PATH, prepare=prepare) as gateway:
        await _report_nodes(gateway, bench.scale.page_nodes)
        assert gateway.site.http is not None
        async with started_chromium(gateway.site.http) as chromium:
            admin, user = [await chromium.cookies_of(name, PASSWORD) for name in (ADMIN, USER)]
            yield PagesSite(gateway, chromium, ids[1:], ids[0], admin, user)


async def _add_people(store: Store) -> None:
    """An admin, and a password for a user of the history. Another row of this run may have added them already."""
    hashed = hash_password(PASSWORD, 8)
    await execute(store.database, f"DELETE FROM hpc_user WHERE username = '{ADMIN}'")
    await execute(
        store.database, f"INSERT INTO hpc_user (username, ldap, roles, projects) VALUES ('{ADMIN}', 0, '[\"admin\", \"user\"]', '[]')"
    )
    await execute(store.database, f"UPDATE hpc_user SET password = '{hashed}' WHERE username IN ('{ADMIN}', '{USER}')")


async def _report_nodes(gateway: Gateway, nodes: int) -> None:
    states: dict[str, Sequence[str]] = {host(number): ["allocated" if number % 2 else "idle"] for number in range(nodes)}
    await publish(gateway.site.nats, node_line(CLUSTER, states), subject=gateway.site.nats.node_subjects[0])
    async with reading(gateway.store.database) as reader:

        async def are_there() -> bool:
            return await reader.rows(f"SELECT count(*) FROM node WHERE cluster = '{CLUSTER}'") == [(nodes,)]

        await until(are_there, 60, f"{nodes} nodes")
