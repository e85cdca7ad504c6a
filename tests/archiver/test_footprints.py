"""Footprint and energy of running jobs: polled from the store, published when changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.archiver.advice import Adviser
from services.archiver.footprints import JOBS_PER_EVENT, SETTLING_S, RunningFootprints
from services.archiver.jobs import JobReader
from services.archiver.polling import ClusterPoller
from services.archiver.prometheus import ArchiverNumbers
from services.archiver.running_advice import RunningAdvice
from shared.broker.clusters import ClusterDirectory
from shared.broker.publisher import Publisher
from shared.database.engine import opened
from shared.domain.events import JobMeasurement
from shared.metricdata import MetricsSettings, request_of, results_of
from shared.metricdata.cc_metric_store import CcMetricStore
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import QUICK, Site, job_row, running
from tests.support.builders import job_stopped
from tests.support.clusters import sample_clusters
from tests.support.metric_store import MetricStore, serving
from tests.support.nats import client_of
from tests.support.waiting import until

INTERVAL_S = 600
FIRST = T0 // INTERVAL_S  # the interval at whose beginning the samples begin
FRITZ = sample_clusters()["fritz"]


@pytest.fixture
def store() -> MetricStore:
    return recorded_store()


def metrics_of(url: str, **changes: Any) -> MetricsSettings:
    return MetricsSettings.model_validate({"kind": "cc-metric-store", "url": url, "timeout_s": 2, "tries": 1} | changes)


def running_job(id_: int, hosts: Sequence[str] = ("f0101",), **columns: Any) -> dict[str, Any]:
    return job_row(id_, job_id=id_, hosts=hosts) | {"start_time": T0, "job_state": "running", "duration": 0} | columns


@asynccontextmanager
async def poller_of(
    site: Site, registry: CollectorRegistry | None = None, adviser: Adviser | None = None, **settings: Any
) -> AsyncIterator[ClusterPoller]:
    """The poller of one replica, driven by the test."""
    numbers = ArchiverNumbers(registry or CollectorRegistry())
    async with opened(site.database, read_only=True) as engine, client_of(site.nats) as client, CcMetricStore(site.metrics) as source:
        clusters = ClusterDirectory(client, site.nats)
        await clusters.refresh()
        chosen = {"interval_s": float(INTERVAL_S), "from_s": 600.0} | settings
        publisher = Publisher(client, site.nats.prefix)
        advice = None if adviser is None else RunningAdvice(adviser, source)
        yield RunningFootprints(JobReader(engine), clusters, source, publisher, numbers, advice, **chosen).poller


async def measured(site: Site) -> list[list[JobMeasurement]]:
    """By event."""
    return [[JobMeasurement.model_validate(job) for job in event["jobs"]] for event in await site.events("job.measured")]


async def measured_ids(site: Site) -> list[list[int]]:
    return [[job.id for job in event] for event in await measured(site)]


async def test_running_jobs_are_measured_as_they_would_be_archived(
    archive_settings: ArchiveSettings, site: NatsSettings, database: DatabaseSettings, store: MetricStore
) -> None:
    place = Site(site, database, archive_settings)
    old = running_job(1, hosts=["f0101", "f0102"])
    await place.store(
        old,
        running_job(2, start_time=T0 + 1801 - SETTLING_S),  # young
        running_job(3, monitoring_status=0),
        running_job(4, job_state="completed", duration=1200),
        running_job(5, hosts=["f9999"]),  # unknown to the store
        running_job(6, subcluster="gone"),
        running_job(7, cluster="alex", subcluster="a100", hosts=["a0603"]),  # no store
        running_job(8, start_time=T0 + 1800 - SETTLING_S - 1),
        position=1,
    )
    at = T0 + 2400 - SETTLING_S
    async with serving(store) as url:
        place = place.with_settings(metrics=metrics_of("", cluster_urls={"fritz": url}))
        async with poller_of(place) as poller, CcMetricStore(place.metrics) as source:
            await poller.round(FIRST + 4)
            request = request_of(old | {"duration": at - T0}, FRITZ, finest_scope_nodes=8)
            whole = (await source.load(request)).data
    expected = results_of(whole, FRITZ.metrics_on("main"), num_nodes=2, duration_s=at - T0)
    ((one, other),) = await measured(place)
    assert one == JobMeasurement(id=1, footprint=expected.footprint, energy=expected.energy, energy_footprint=expected.energy_footprint)
    assert set(one.footprint) == {"cpu_load_avg", "mem_used_max", "flops_any_avg", "mem_bw_avg"}
    assert one.energy > 0
    assert other.id == 8


async def test_an_unchanged_job_is_not_published_again(archive_site: Site, store: MetricStore) -> None:
    await archive_site.store(running_job(1, hosts=["f0105"]), position=1)  # its samples end after ten minutes
    registry = CollectorRegistry()
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, registry) as poller:
            await poller.round(FIRST + 3)
            ((found,),) = await measured(site)
            await site.change(1, footprint=f' {{"cpu_load_avg": {found.footprint["cpu_load_avg"]}}}')
            await poller.round(FIRST + 4)
    assert await measured(site) == [[found]]
    counts = {
        outcome: registry.get_sample_value("jobtide_archiver_footprints_total", {"outcome": outcome})
        for outcome in ("measured", "unchanged")
    }
    assert counts == {"measured": 1, "unchanged": 1}


async def test_an_old_job_is_measured_again_when_its_age_has_grown_by_a_twentieth(archive_site: Site, store: MetricStore) -> None:
    """One of 30 intervals, and one of less than 20."""
    old, young = running_job(1, start_time=T0 - 30 * INTERVAL_S), running_job(2, hosts=["f0105"])
    await archive_site.store(old, young, position=1)
    current = 0
    measured_in: dict[str, set[int]] = {"f0101": set(), "f0105": set()}

    async def note(body: Any) -> None:
        for query in body["queries"]:
            measured_in[query["host"]].add(current)

    store.mood = note
    rounds = range(FIRST + 3, FIRST + 13)
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site) as poller:
            for current in rounds:
                await poller.round(current)
        assert measured_in["f0105"] == set(rounds)
        assert 4 <= len(measured_in["f0101"]) <= 7  # 43 / 33 is 1.05 to the power of 5.4
        async with poller_of(site) as poller:  # after a restart
            await poller.round(current := rounds[-1] + 1)
        assert current in measured_in["f0101"]


async def test_replicas_publish_one_round_once(archive_site: Site, store: MetricStore) -> None:
    count = JOBS_PER_EVENT + 1
    await archive_site.store(*(running_job(n, hosts=["f0105"]) for n in range(1, count + 1)), position=1)
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site) as one, poller_of(site) as other:
            await asyncio.gather(one.round(FIRST + 3), other.round(FIRST + 3))
    found = await measured_ids(site)
    assert sorted(found) == [list(range(1, JOBS_PER_EVENT + 1)), [count]]


Mood = Callable[[Any], Awaitable[web.Response | None]]


def broken_for(*hosts: str) -> Mood:
    """An invalid answer to requests about one of these hosts, or about any without hosts."""

    async def mood(body: Any) -> web.Response | None:
        is_meant = not hosts or any(query["host"] in hosts for query in body["queries"])
        return web.Response(status=500) if is_meant else None

    return mood


async def test_a_store_that_does_not_answer_is_not_polled_for_a_while(archive_site: Site, store: MetricStore) -> None:
    await archive_site.store(*(running_job(n) for n in range(1, 6)), position=1)
    store.mood = broken_for()
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site) as poller:
            with capture_logs() as logs:
                await poller.round(FIRST + 3)
            warnings = [(entry["event"], entry["cluster"]) for entry in logs if entry["log_level"] == "warning"]
            assert warnings == [("footprints_unknown", "fritz")]
            assert store.requests == 3  # enough to exclude that the job is the cause
            await poller.round(FIRST + 4)
            assert store.requests == 3
    assert await measured(site) == []  # known values are not changed


async def test_a_single_job_suffices_to_detect_an_unavailable_store(archive_site: Site, store: MetricStore) -> None:
    await archive_site.store(running_job(1), position=1)
    store.mood = broken_for()
    registry = CollectorRegistry()
    async with serving(store) as url, poller_of(archive_site.with_settings(metrics=metrics_of(url)), registry) as poller:
        await poller.round(FIRST + 3)
    assert registry.get_sample_value("jobtide_archiver_footprint_rounds_total", {"outcome": "unanswered"}) == 1


async def test_a_job_too_large_for_the_store_does_not_affect_other_footprints(archive_site: Site, store: MetricStore) -> None:
    jobs = [running_job(1), running_job(2, hosts=["f0102"]), running_job(3, hosts=["f0107"]), running_job(4, resources="no JSON")]
    await archive_site.store(*jobs, position=1)
    store.mood = broken_for("f0102")
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site) as poller:
            await poller.round(FIRST + 3)
    assert await measured_ids(site) == [[1, 3]]


async def test_jobs_that_always_fail_do_not_starve_the_others(archive_site: Site, store: MetricStore) -> None:
    bad = [running_job(n, hosts=["f0102"]) for n in range(1, JOBS_PER_EVENT + 1)]
    await archive_site.store(*bad, running_job(500), position=1)
    store.mood = broken_for("f0102")
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, interval_s=0.1, from_s=0.0) as poller:

            async def found() -> bool:
                await poller.round((T0 + 1800) * 10)
                return bool(await measured(site))

            await until(found, 30, "a turn that begins behind them")
    assert await measured_ids(site) == [[500]]


async def test_archiving_continues_while_the_store_has_no_footprints(archive_site: Site, store: MetricStore) -> None:
    (sequence,) = await archive_site.publish(job_stopped(99))
    stopped = job_row(99, job_id=99, start_time=T0, duration=1200, stop_seq=sequence)
    await archive_site.store(running_job(1), stopped, position=sequence)
    is_asked = asyncio.Event()

    async def hangs(body: Any) -> None:
        if body.get("with-data") is False:  # not the probes of the store, nor what is archived
            is_asked.set()
            await asyncio.Event().wait()

    store.mood = hangs
    async with serving(store) as url:
        archiver = QUICK.model_copy(update={"footprints_s": 600.0})
        site = archive_site.with_settings(metrics=metrics_of(url, max_window_days=3650, timeout_s=600, requests=2), archiver=archiver)
        async with running(site):
            await asyncio.wait_for(is_asked.wait(), 30)

            async def is_archived() -> bool:
                return len(await site.events("job.archived")) == 1

            await until(is_archived, 30)


async def test_the_archiver_measures_running_jobs_by_itself(archive_site: Site, store: MetricStore) -> None:
    await archive_site.store(running_job(1), position=1)
    async with serving(store) as url:
        archiver = QUICK.model_copy(update={"footprints_s": 0.5})
        site = archive_site.with_settings(metrics=metrics_of(url, max_window_days=3650), archiver=archiver)
        async with running(site):
            await until(lambda: measured(site), 30, "an event")
    assert {id_ for event in await measured_ids(site) for id_ in event} == {1}
