"""The archive or the metric store fails: events are still processed, and no reader sees an incomplete entry."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.archiver.feed import T0, recorded_store
from tests.faults.conftest import MakeStack
from tests.support.adapter import publish_accepted
from tests.support.builders import start_line, stop_line
from tests.support.clusters import sample_clusters
from tests.support.databases import query
from tests.support.disks import SmallDisk, small_disk
from tests.support.metric_store import MetricStore, serving
from tests.support.moods import fails, hangs
from tests.support.nats import publish
from tests.support.processes import ServiceRunner
from tests.support.rest import text_of
from tests.support.stack import Stack
from tests.support.verdict import assert_entries_are_whole, data_of, settled
from tests.support.waiting import until
from tests.support.workload import workload


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mb=64) as found:
        yield found


async def _shows_full_archive(stack: Stack) -> bool:
    """Readiness and metrics both name the archive; the log may be on the same disk."""
    health = stack["archiver"].addresses["health"]
    status, ready = await text_of(health, "/readyz")
    _, metrics = await text_of(health, "/metrics")
    up = [line for line in metrics.splitlines() if line.startswith("jobtide_archiver_dependency_up{") and 'dependency="archive"' in line]
    return status == 503 and "archive" in ready and up[0].endswith(" 0.0")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_full_disk_only_delays_archiving(
    disk: SmallDisk, site: NatsSettings, sqlite_database: DatabaseSettings, service: ServiceRunner
) -> None:
    plan = workload(seed=21, jobs=200)
    archive = ArchiveSettings(path=disk.folder)
    stack = Stack(site, sqlite_database, archive, service)
    await stack.up()
    disk.fill(stack["archiver"])
    await publish_accepted(site, plan.messages)
    await settled(site, sqlite_database)
    await until(lambda: _shows_full_archive(stack), 20)
    assert assert_entries_are_whole(plan, archive) < {(job[1], job[0], job[2]) for job in plan.jobs}
    disk.make_room(stack["archiver"])
    await stack.verify(plan)


async def _babbles(_: dict[str, Any]) -> web.StreamResponse:
    return web.Response(body=b'\xff\x00{"results": [[{"data": [1, nan', content_type="application/json")


async def _answers_something_else(_: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"results": {"data": "none"}, "more": [[[]]]})


async def fails_for_jobs(body: dict[str, Any]) -> web.StreamResponse | None:
    """Answers probes, which have no queries."""
    return web.Response(status=500, text="boom") if body["queries"] else None


async def _answers_too_little(body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"results": [[{"data": [1.0], "from": 0, "to": "x", "resolution": -1}]] * (len(body["queries"]) - 1)})


METRICS = sorted(metric.name for metric in sample_clusters()["fritz"].metrics_on("main"))
Mood = Callable[[dict[str, Any]], Awaitable[web.StreamResponse | None]]


def _with_store(make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings, address: str, tries: int) -> Stack:
    variables = {
        "JOBTIDE_METRICS_KIND": "cc-metric-store",
        "JOBTIDE_METRICS_URL": address,
        "JOBTIDE_METRICS_TIMEOUT_S": "0.5",
        "JOBTIDE_METRICS_TRIES": "1",
        "JOBTIDE_ARCHIVER_TRIES": str(tries),
    }
    return make_stack(site, database, names=("ingest", "jobstore", "archiver"), variables=variables)


async def _run_job(stack: Stack, job_id: int) -> None:
    start = start_line(job_id, "fritz", ["f0101"], startTime=T0 + job_id)
    await publish(stack.nats, start, stop_line(job_id, "fritz", stopTime=T0 + 3000))


async def _status(database: DatabaseSettings, job_id: int) -> tuple[Any, ...] | None:
    rows = await query(database, "SELECT job_state, monitoring_status FROM job WHERE job_id = :job_id", job_id=job_id)
    return rows[0] if rows else None


async def _is_healthy(stack: Stack) -> bool:
    return (await text_of(stack["archiver"].addresses["health"], "/healthz"))[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("mood", [hangs, fails, _babbles, _answers_something_else, _answers_too_little])
async def test_a_failing_metric_store_only_delays_archiving(
    mood: Mood, make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    store: MetricStore = recorded_store()
    store.mood = mood
    async with serving(store) as address:
        stack = _with_store(make_stack, site, sqlite_database, address, tries=1000)
        await stack.up()
        for job_id in (1, 2):
            await _run_job(stack, job_id)
        log = stack["archiver"].log_lines
        await until(lambda: log("dependency_unavailable") or len(log("job_not_archived")) >= 2, 20)
        await _run_job(stack, 3)

        async def has_stopped() -> bool:
            return await _status(sqlite_database, 3) == ("completed", 1)

        await until(has_stopped, 30)
        assert await _is_healthy(stack)
        assert list(stack.archive.path.glob("*/*/*/*/meta.json")) == []

        store.mood = None

        async def are_archived() -> bool:
            return [await _status(sqlite_database, job_id) for job_id in (1, 2, 3)] == [("completed", 3)] * 3

        await until(are_archived, 20)
        entries = [meta.parent for meta in stack.archive.path.glob("*/*/*/*/meta.json")]
        assert [sorted(data_of(entry)) for entry in entries] == [METRICS] * 3
        await stack.down()


@pytest.mark.slow
async def test_a_metric_store_that_alwaysfails_for_a_job_ends_in_a_visible_failure(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    store = recorded_store()
    store.mood = fails_for_jobs
    async with serving(store) as address:
        stack = _with_store(make_stack, site, sqlite_database, address, tries=2)
        await stack.up()
        await _run_job(stack, 1)

        async def has_failed() -> bool:
            return await _status(sqlite_database, 1) == ("completed", 2)

        await until(has_failed, 20)
        await stack.down()
