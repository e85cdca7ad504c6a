"""Whether nodes deliver their metrics: polled from the store, published as events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from sqlalchemy import update
from structlog.testing import capture_logs

from services.archiver.node_health import NODES_PER_EVENT, NodeHealthChecks
from services.archiver.polling import ClusterPoller
from services.archiver.prometheus import ArchiverNumbers
from shared.broker.clusters import ClusterDirectory
from shared.broker.cursor import log_state, read_from
from shared.broker.publisher import Publisher
from shared.database.engine import opened
from shared.database.tables import tables
from shared.domain.clusters import Cluster
from shared.domain.events import NodeHealth, NodesChecked
from shared.domain.recorded import Recorded
from shared.metricdata import HostHealth, MetricsSettings, SourceUnavailable
from shared.metricdata.cc_metric_store import CcMetricStore
from tests.archiver.feed import MINUTES, T0, recorded_store
from tests.archiver.site import QUICK, Site, running
from tests.support.clusters import sample_clusters
from tests.support.metric_store import MetricStore, serving
from tests.support.moods import fails
from tests.support.nats import client_of
from tests.support.waiting import until

END = T0 + 60 * MINUTES
METRICS = ["cpu_load", "flops_any"]


@pytest.fixture
def store() -> MetricStore:
    filled = recorded_store()
    filled.now = END
    return filled


def metrics_of(url: str, **changes: Any) -> MetricsSettings:
    return MetricsSettings.model_validate({"kind": "cc-metric-store", "url": url, "timeout_s": 2, "tries": 1} | changes)


# the adapter


@pytest.fixture
async def adapter(store: MetricStore) -> AsyncIterator[CcMetricStore]:
    async with serving(store) as url, CcMetricStore(metrics_of(url)) as opened_store:
        yield opened_store


async def test_the_health_of_hosts_depends_on_their_configured_metrics(adapter: CcMetricStore, store: MetricStore) -> None:
    found = await adapter.health("fritz", ["f0101", "f9999"], METRICS)
    assert found == {"f0101": HostHealth("full"), "f9999": HostHealth("failed")}
    assert await adapter.health("fritz", ["f0101"], ["cpu_load", "none"]) == {"f0101": HostHealth("partial", ("none",))}
    store.now = END + 6 * 60
    assert await adapter.health("fritz", ["f0101"], METRICS) == {"f0101": HostHealth("failed", (), tuple(METRICS))}
    assert await adapter.health("fritz", [], METRICS) == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"null",
        b'{"f1":null}',
        b'{"f1":{"State":"full"}}',
        b'{"f1":{"State":"splendid","HealthMetrics":""}}',
        b'{"f1":{"State":"partial","HealthMetrics":"{"}}',
        b'{"f1":{"State":"partial","HealthMetrics":"{\\"missing\\":5}"}}',
    ],
    ids=repr,
)
async def test_an_invalid_health_answer_is_unavailable(adapter: CcMetricStore, store: MetricStore, answer: bytes) -> None:
    async def nonsense(_: Any) -> web.Response:
        return web.Response(body=answer)

    store.mood = nonsense
    with pytest.raises(SourceUnavailable):
        await adapter.health("fritz", ["f1"], METRICS)


def test_a_cluster_without_a_store_is_not_covered() -> None:
    some = CcMetricStore(metrics_of("", cluster_urls={"alex": "http://127.0.0.1:1"}))
    assert (some.store_of("alex"), some.store_of("fritz")) == ("http://127.0.0.1:1", "")


# the rounds


async def add_nodes(site: Site, cluster: str, subcluster: str, hosts: Sequence[str], state: str = "idle") -> None:
    none = dict.fromkeys(("time_stamp", "cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running", "report_seq", "kept_at"), 0)
    rows = [{"cluster": cluster, "subcluster": subcluster, "hostname": host, "node_state": state, "states": "[]", **none} for host in hosts]
    async with opened(site.database) as engine, engine.begin() as connection:
        known = len((await connection.execute(tables.node.select())).all())
        await connection.execute(tables.node.insert(), [row | {"id": known + n} for n, row in enumerate(rows)])


@asynccontextmanager
async def checks_of(site: Site, **settings: Any) -> AsyncIterator[ClusterPoller]:
    """The poller of one replica, driven by the test."""
    async with health_checks(site, **settings) as checks:
        yield checks.poller


@asynccontextmanager
async def health_checks(site: Site, **settings: Any) -> AsyncIterator[NodeHealthChecks]:
    numbers = ArchiverNumbers(CollectorRegistry())
    async with opened(site.database, read_only=True) as engine, client_of(site.nats) as client, CcMetricStore(site.metrics) as source:
        clusters = ClusterDirectory(client, site.nats)
        await clusters.refresh()
        publisher = Publisher(client, site.nats.prefix)
        yield NodeHealthChecks(engine, clusters, source, publisher, numbers, **{"interval_s": 60.0} | settings)


async def published(site: Site) -> list[Recorded]:
    stream = site.nats.stream("NODES")
    async with client_of(site.nats) as client:
        last = (await log_state(client, stream)).last_sequence
        found: list[Recorded] = []
        async with read_from(client, stream, 1) as cursor:
            while len(found) < last:
                found += [record for record in await cursor.batch(100) if isinstance(record, Recorded)]
    return found


async def health_of(site: Site) -> dict[str, NodeHealth]:
    events = [record.event for record in await published(site)]
    return {node.hostname: node for event in events if isinstance(event, NodesChecked) for node in event.nodes}


async def test_every_node_is_checked_with_the_metrics_of_its_subcluster(archive_site: Site, store: MetricStore) -> None:
    await add_nodes(archive_site, "fritz", "main", ["f0101", "f0102", "f0988"])
    await add_nodes(archive_site, "fritz", "main", ["f0103"], state="down")
    await add_nodes(archive_site, "fritz", "gone", ["f0104"])
    await add_nodes(archive_site, "fritz", "main", ["f0199"])  # no longer in the cluster
    await add_nodes(archive_site, "emmy", "main", ["w1127"], state="down")
    del store.clusters["fritz"]["f0102"].metrics["mem_used"]
    asked: list[Any] = []

    async def listen(body: Any) -> None:
        asked.append(body)

    store.mood = listen
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of("", cluster_urls={"fritz": url}))
        async with checks_of(site) as checks:
            await checks.round(7)
    wanted = [metric.name for metric in sample_clusters()["fritz"].metrics_on("main")]
    assert asked == [{"cluster": "fritz", "nodes": ["f0101", "f0102", "f0988"], "metric-names": wanted}]
    found = await health_of(site)
    assert {host: (node.health, node.missing) for host, node in found.items()} == {
        "f0101": ("full", []),
        "f0102": ("partial", ["ib_recv", "mem_used"]),
        "f0103": ("full", []),
        "f0104": ("failed", []),
        "f0988": ("failed", []),
    }


async def test_replicas_publish_one_round_once(archive_site: Site, store: MetricStore) -> None:
    await add_nodes(archive_site, "fritz", "main", sample_clusters()["fritz"].sub_clusters[0].hosts[: NODES_PER_EVENT + 1])
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with checks_of(site) as one, checks_of(site) as other:
            for number in (1, 2):
                await asyncio.gather(one.round(number), other.round(number))
    records = await published(site)
    assert sorted(record.message_id for record in records) == [f"node-health:fritz:60:{n}:{part}" for n in (1, 2) for part in (0, 1)]
    sizes = [len(record.event.nodes) for record in records if isinstance(record.event, NodesChecked)]
    assert sorted(sizes) == [1, 1, NODES_PER_EVENT, NODES_PER_EVENT]


async def test_a_store_that_does_not_answer_is_not_polled_for_a_while(archive_site: Site, store: MetricStore) -> None:
    await add_nodes(archive_site, "fritz", "main", ["f0101"])

    store.mood = fails
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with checks_of(site) as checks:
            with capture_logs() as logs:
                await checks.round(1)
            assert [(entry["event"], entry["cluster"]) for entry in logs] == [("node_health_unknown", "fritz")]
            await checks.round(2)
            assert store.requests == 1
            assert await published(site) == []  # the known health is not changed


async def test_a_store_that_answers_again_is_polled_again(archive_site: Site, store: MetricStore) -> None:
    await add_nodes(archive_site, "fritz", "main", ["f0101"])

    store.mood = fails
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with checks_of(site, interval_s=0.1) as checks:
            await checks.round(1)
            store.mood = None

            async def answered() -> bool:
                await checks.round(2)
                return bool(await published(site))

            await until(answered, 30, "a check after the rest")


async def test_a_node_is_checked_shortly_after_its_first_report(
    archive_site: Site, store: MetricStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no regular round here. Nodes that have been checked are left to the rounds."""
    monkeypatch.setattr("services.archiver.node_health.NEW_NODES_POLL_S", 0.1)
    stop = asyncio.Event()
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with health_checks(site) as checks, asyncio.TaskGroup() as group:
            group.create_task(checks.keep_checking_new(stop, lambda: None))
            await add_nodes(site, "fritz", "main", ["f0101"])
            await until(partial(_is_checked, site, "f0101"), 30)
            async with opened(site.database) as engine, engine.begin() as connection:
                await connection.execute(update(tables.node).values(health_kept_at=1))
            await add_nodes(site, "fritz", "main", ["f0102", "f0103"])
            await until(partial(_is_checked, site, "f0103"), 30)
            stop.set()
    found = [record.event for record in await published(site)]
    assert [[node.hostname for node in event.nodes] for event in found if isinstance(event, NodesChecked)] == [
        ["f0101"],
        ["f0102", "f0103"],
    ]


async def _is_checked(site: Site, host: str) -> bool:
    return host in await health_of(site)


async def test_the_first_round_can_wait_for_samples_of_nodes_that_start_with_the_site(archive_site: Site) -> None:
    polled: set[float] = set()
    async with client_of(archive_site.nats) as client, CcMetricStore(metrics_of("http://127.0.0.1:9")) as source:
        clusters = ClusterDirectory(client, archive_site.nats)
        await clusters.refresh()
        stop = asyncio.Event()

        def poller(first_after_s: float) -> ClusterPoller:
            async def poll(cluster: Cluster, number: int) -> None:
                polled.add(first_after_s)

            return ClusterPoller(
                clusters, source, poll, lambda _: None, failure="x", interval_s=3600, deadline_s=60, first_after_s=first_after_s
            )

        async with asyncio.TaskGroup() as tasks:
            for first_after_s in (1800.0, 0.0):
                tasks.create_task(poller(first_after_s).run(stop, lambda: None))

            async def is_polled() -> bool:
                return bool(polled)

            await until(is_polled, 20, "a poll")
            stop.set()
    assert polled == {0.0}


async def test_the_archiver_checks_nodes_by_itself(archive_site: Site, store: MetricStore) -> None:
    await add_nodes(archive_site, "fritz", "main", ["f0101"])
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url), archiver=QUICK.model_copy(update={"node_health_s": 0.2}))
        async with running(site):

            async def found() -> bool:
                return len(await published(site)) >= 2

            await until(found, 30, "two checks")
    assert set(await health_of(site)) == {"f0101"}
