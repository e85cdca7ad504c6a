"""Processes, brokers and databases that fail while jobs are archived."""

import asyncio
from functools import partial
from typing import Any

import pytest
from nats.errors import Error as NatsError

from shared.archive import JobPath, is_complete, verify
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import QUICK, Site, job_row, running
from tests.support.builders import START_TIME, job_stopped
from tests.support.metric_store import serving
from tests.support.nats import NatsServer
from tests.support.processes import ServiceRunner
from tests.support.waiting import until


async def many_stopped_jobs(site: Site, count: int, **columns: Any) -> list[dict[str, Any]]:
    sequences = await site.publish(*(job_stopped(job_id) for job_id in range(1, count + 1)))
    rows = [job_row(100_000 + job_id, job_id=job_id, stop_seq=sequence, **columns) for job_id, sequence in enumerate(sequences, 1)]
    await site.store(*rows, position=sequences[-1])
    return rows


async def archived_ids(site: Site) -> list[int]:
    return [event["id"] for event in await site.events("job.archived")]


async def test_jobs_are_archived_from_both_databases(
    archive_settings: ArchiveSettings, site: NatsSettings, database: DatabaseSettings
) -> None:
    place = Site(site, database, archive_settings)
    rows = await many_stopped_jobs(place, 20)
    async with running(place):
        await until(lambda: _is_done(place), 30)
    assert sorted(await archived_ids(place)) == [row["id"] for row in rows]


async def _is_done(site: Site) -> bool:
    return await site.unfinished() == 0


async def test_a_broker_killed_under_load_loses_nothing(
    private_nats: NatsServer, private_site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    place = Site(private_site, sqlite_database, archive_settings, archiver=QUICK.model_copy(update={"batch": 20}))
    rows = await many_stopped_jobs(place, 300)
    async with running(place):
        for _ in range(2):
            await until(lambda: any(archive_settings.path.glob("fritz/0/*/*/meta.json")), 30)
            await asyncio.to_thread(private_nats.restart)
        await until(lambda: _done_or_away(place), 40)
    assert set(await archived_ids(place)) == {row["id"] for row in rows}
    assert list(verify(archive_settings.path)) == []


async def _done_or_away(site: Site) -> bool:
    try:
        return await site.unfinished() == 0
    except (NatsError, OSError, TimeoutError):
        return False  # the broker is restarting


@pytest.mark.slow
async def test_an_archiver_killed_under_load_leaves_complete_entries_and_loses_none(archive_site: Site, service: ServiceRunner) -> None:
    rows = await many_stopped_jobs(archive_site, 400)
    settings = archive_site.settings
    process = await service.start(
        "archiver", settings.nats, settings.database, settings.archive, settings.metrics, QUICK.model_copy(update={"batch": 20})
    )
    for _ in range(4):
        count = len(await archived_ids(archive_site))
        process.kill9()
        process.launch()
        await process.up()
        await until(partial(_more_than, archive_site, count), 20)
    await until(lambda: _is_done(archive_site), 30)
    assert await process.terminate() == 0
    assert set(await archived_ids(archive_site)) == {row["id"] for row in rows}
    assert list(verify(archive_site.archive.path)) == []  # leftovers of killed archivers are removed too
    assert all(is_complete(archive_site.archive.path, JobPath("fritz", row["job_id"], START_TIME)) for row in rows)


async def _more_than(site: Site, count: int) -> bool:
    return len(await archived_ids(site)) > count or await _is_done(site)


async def test_shutdown_does_not_wait_for_a_hanging_store_and_hands_back_its_jobs(archive_site: Site) -> None:
    store = recorded_store()
    is_asked = asyncio.Event()
    answers = asyncio.Event()

    async def mood(_: Any) -> None:
        is_asked.set()
        await answers.wait()

    store.mood = mood
    async with serving(store) as url:
        metrics = MetricsSettings(kind="cc-metric-store", url=url, timeout_s=600)  # longer than the end of the service may take
        place = archive_site.with_settings(metrics=metrics, archiver=QUICK.model_copy(update={"grace_s": 0.5, "ack_wait_s": 120}))
        await many_stopped_jobs(place, 3, start_time=T0, duration=600)
        async with running(place):
            await asyncio.wait_for(is_asked.wait(), 30)
        assert await place.unfinished() == 3  # it ended while the store still hangs
        answers.set()
        async with running(place):  # redelivered immediately, not after the acknowledgement wait
            await until(lambda: _is_done(place), 30)
    assert len(await archived_ids(place)) == 3
