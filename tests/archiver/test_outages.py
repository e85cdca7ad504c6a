"""An archive or metric store that is unavailable stops archiving visibly and never counts against a job."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from services.archiver.annotations import Annotator
from services.archiver.work import Work
from shared.archive import JobPath, read_data, verify
from shared.archive.places import store_of
from shared.archive.verify import verify_store
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import QUICK, Site, job_row, running
from tests.support.builders import job_stopped
from tests.support.metric_store import MetricStore, serving
from tests.support.moods import hangs
from tests.support.processes import ServiceRunner
from tests.support.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFs
from tests.support.waiting import until

JOBS = 30
Mood = Callable[[dict[str, Any]], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _frequent_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.archiver.dependencies.PROBE_INTERVAL_S", 0.2)


async def _stop_jobs(site: Site, first: int = 1, count: int = JOBS, **columns: Any) -> list[dict[str, Any]]:
    values = {"start_time": T0, "duration": 600, **columns}
    sequences = await site.publish(*(job_stopped(job_id) for job_id in range(first, first + count)))
    rows = [job_row(100_000 + job_id, job_id=job_id, stop_seq=sequence, **values) for job_id, sequence in enumerate(sequences, first)]
    await site.store(*rows, position=sequences[-1])
    return rows


async def _archived(site: Site) -> list[int]:
    return sorted(event["id"] for event in await site.events("job.archived"))


async def _page(addresses: dict[str, str], page: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{addresses['health']}/{page}") as response:
        return response.status, await response.text()


async def _shows_outage(addresses: dict[str, str], dependency: str, address: str = "") -> bool:
    """Readiness and metrics both name the dependency."""
    status, text = await _page(addresses, "readyz")
    _, metrics = await _page(addresses, "metrics")
    lines = [
        line
        for line in metrics.splitlines()
        if line.startswith("jobtide_archiver_dependency_up{") and dependency in line and address in line
    ]
    return (
        status == 503 and f"{dependency} {address}".strip() in json.loads(text)["failing"] and any(line.endswith(" 0.0") for line in lines)
    )


async def _is_ready(addresses: dict[str, str]) -> bool:
    return (await _page(addresses, "readyz"))[0] == 200


async def _is_done(site: Site) -> bool:
    return await site.unfinished() == 0


async def _fails(_: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=503, text="starting")


async def _rejects_the_token(_: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=401, text="token expired")


async def _is_something_else(_: dict[str, Any]) -> web.StreamResponse:
    return web.Response(body=b"<html>Welcome to nginx</html>", content_type="text/html")


async def _outage_ends_with_everything_archived(
    site: Site, rows: list[dict[str, Any]], addresses: dict[str, str], repair: Callable[[], Awaitable[None]]
) -> None:
    await until(lambda: _shows_outage(addresses, "metric_store"), 30)
    assert await _archived(site) == []
    await repair()
    await until(lambda: _is_done(site), 60)
    await until(lambda: _is_ready(addresses), 30)
    assert await _archived(site) == [row["id"] for row in rows]
    assert await site.events("job.archiving_failed") == []
    assert all("cpu_load" in read_data(site.archive.path, JobPath("fritz", row["job_id"], T0)) for row in rows)


@pytest.mark.parametrize("mood", [hangs, _fails, _rejects_the_token, _is_something_else])
async def test_jobs_that_end_while_the_metric_store_cannot_answer_are_archived_when_it_can(mood: Mood, archive_site: Site) -> None:
    store = recorded_store()
    store.mood = mood
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url, timeout_s=2, tries=1))
        rows = await _stop_jobs(site)

        async def repair() -> None:
            store.mood = None

        async with running(site) as addresses:
            await _outage_ends_with_everything_archived(site, rows, addresses, repair)


async def test_jobs_that_end_while_the_metric_store_is_down_are_archived_when_it_is_back(archive_site: Site) -> None:
    async with serving(MetricStore({})) as url:
        port = int(url.rsplit(":", 1)[1])
    site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url, tries=1))
    rows = await _stop_jobs(site)
    is_over, is_back, is_stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve_later() -> None:
        await is_over.wait()
        async with serving(recorded_store(), port):
            is_back.set()
            await is_stopped.wait()

    async def repair() -> None:
        is_over.set()
        await asyncio.wait_for(is_back.wait(), 30)

    async with asyncio.TaskGroup() as group:
        group.create_task(serve_later())
        async with running(site) as addresses:
            await _outage_ends_with_everything_archived(site, rows, addresses, repair)
        is_stopped.set()


async def test_a_job_that_fails_while_the_store_answers_others_ends_in_a_visible_failure(archive_site: Site) -> None:
    """A store that fails only for one job, for example because it is too large."""
    store = recorded_store()

    async def mood(body: dict[str, Any]) -> web.StreamResponse | None:
        return web.Response(status=500, text="out of memory") if any(query["host"] == "f0103" for query in body["queries"]) else None

    store.mood = mood
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url, tries=1))
        good = await _stop_jobs(site, 1, 3)
        bad = await _stop_jobs(site, 10, 1, resources='[{"hostname":"f0103"}]')
        async with running(site):
            await until(lambda: _is_done(site), 60)
    assert await _archived(site) == [row["id"] for row in good]
    (event,) = await site.events("job.archiving_failed")
    assert (event["id"], event["attempts"]) == (bad[0]["id"], QUICK.tries)


async def test_jobs_of_a_cluster_whose_store_answers_do_not_wait_for_another_store(archive_site: Site) -> None:
    down = recorded_store()
    down.mood = _fails
    async with serving(recorded_store()) as url, serving(down) as url_of_alex:
        metrics = MetricsSettings(kind="cc-metric-store", url=url, cluster_urls={"alex": url_of_alex}, tries=1)
        site = archive_site.with_settings(metrics=metrics)
        alex = await _stop_jobs(site, 1, 3, cluster="alex", subcluster="a100", resources='[{"hostname":"a0603"}]')
        async with running(site) as addresses:
            await until(lambda: _shows_outage(addresses, "metric_store", url_of_alex), 30)
            fritz = await _stop_jobs(site, 10, 3)

            async def is_fritz_archived() -> bool:
                return await _archived(site) == [row["id"] for row in fritz]

            await until(is_fritz_archived, 30)
            down.mood = None
            await until(lambda: _is_done(site), 30)
    assert await _archived(site) == [row["id"] for row in (*alex, *fritz)]
    assert await site.events("job.archiving_failed") == []


def _rename(root: Path) -> Callable[[], None]:
    gone = root.with_name("gone")
    root.rename(gone)

    def rename_back() -> None:
        gone.rename(root)  # fails if something was written to the old path

    return rename_back


def _unmount(root: Path) -> Callable[[], None]:
    """An archive that is not mounted is the empty folder of its mount point."""
    gone = root.with_name("gone")
    root.rename(gone)
    root.mkdir()

    def mount() -> None:
        root.rmdir()  # fails if something was written into it
        gone.rename(root)

    return mount


def _become_a_file(root: Path) -> Callable[[], None]:
    gone = root.with_name("gone")
    root.rename(gone)
    root.write_text("not a folder")

    def restore() -> None:
        root.unlink()
        gone.rename(root)

    return restore


@pytest.mark.parametrize("remove", [_rename, _unmount, _become_a_file])
async def test_jobs_that_end_while_the_archive_is_missing_are_archived_later(
    remove: Callable[[Path], Callable[[], None]], archive_site: Site
) -> None:
    root = archive_site.archive.path
    async with running(archive_site) as addresses:
        restore = remove(root)
        rows = await _stop_jobs(archive_site)
        await until(lambda: _shows_outage(addresses, "archive"), 30)
        assert await _archived(archive_site) == []
        restore()
        await until(lambda: _is_done(archive_site), 20)
        assert await _is_ready(addresses)
    assert await _archived(archive_site) == [row["id"] for row in rows]
    assert await archive_site.events("job.archiving_failed") == []
    assert len(list(root.glob("fritz/*/*/*/meta.json"))) == JOBS
    assert list(verify(root)) == []


@pytest.fixture
def stopped_server(tmp_path: Path) -> Iterator[SeaweedFs]:
    (tmp_path / "weed").mkdir()
    server = SeaweedFs(tmp_path / "weed")
    yield server
    server.kill()


@pytest.mark.timeout(120)
async def test_only_jobs_whose_archive_is_away_wait_for_it(archive_site: Site, stopped_server: SeaweedFs, tmp_path: Path) -> None:
    """alex is archived on an S3 server, which is down at start and killed again, fritz in an SQLite file."""
    server = stopped_server
    settings = ArchiveSettings(
        url=f"sqlite:///{tmp_path}/archive.db",
        clusters={"alex": "s3://archive/site"},
        s3_endpoint=server.endpoint,
        s3_access_key=ACCESS_KEY,
        s3_secret_key=SecretStr(SECRET_KEY),
    )
    site = archive_site.with_settings(archive=settings)
    archive = store_of(settings)
    async with running(site) as addresses:
        fritz = await _stop_jobs(site)
        alex = await _stop_jobs(site, first=200, cluster="alex", subcluster="a40", resources='[{"hostname":"a0121"}]')

        async def is_fritz_archived() -> bool:
            return await _archived(site) == [row["id"] for row in fritz]

        await until(is_fritz_archived, 30)
        await until(lambda: _shows_outage(addresses, "archive", "s3://archive/site"), 30)
        await asyncio.to_thread(server.start)
        server.create_bucket("archive")
        await until(lambda: _is_done(site), 30)
        assert await _archived(site) == sorted(row["id"] for row in (*alex, *fritz))
        await asyncio.to_thread(server.kill)
        more = await _stop_jobs(site, first=300, count=3, cluster="alex", subcluster="a40", resources='[{"hostname":"a0121"}]')
        await until(lambda: _shows_outage(addresses, "archive", "s3://archive/site"), 30)
        await asyncio.to_thread(server.start)
        await until(lambda: _is_done(site), 60)
        await until(lambda: _is_ready(addresses), 30)
    assert await _archived(site) == sorted(row["id"] for row in (*alex, *fritz, *more))
    assert await site.events("job.archiving_failed") == []
    assert len(list(archive.paths())) == len(alex) + len(fritz) + len(more)
    assert list(verify_store(archive)) == []


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes requests and never answers."""
    while await reader.read(65_536):
        continue
    writer.close()


@pytest.mark.timeout(180)
async def test_a_place_that_never_answers_holds_up_no_other(archive_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to the bucket of alex would wait for an hour, so whatever waits for one of them fails the test."""
    monkeypatch.setattr("shared.archive.objects.REQUEST_TIMEOUT_S", 3600.0)
    monkeypatch.setattr("services.archiver.folder.ANSWER_S", 1.0)
    monkeypatch.setattr("services.archiver.dependencies.PROBE_TIMEOUT_S", 1.0)
    hanging = await asyncio.start_server(_swallow, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    settings = ArchiveSettings(
        path=archive_site.archive.path,
        clusters={"alex": "s3://archive"},
        s3_endpoint=f"http://127.0.0.1:{port}",
        s3_access_key=ACCESS_KEY,
        s3_secret_key=SecretStr(SECRET_KEY),
    )
    site = archive_site.with_settings(archive=settings)
    alex = await _stop_jobs(site, first=200, cluster="alex", subcluster="a40", resources='[{"hostname":"a0121"}]')
    async with running(site) as addresses:
        await until(lambda: _shows_outage(addresses, "archive", "s3://archive"), 60)
        fritz = await _stop_jobs(site)

        async def is_fritz_archived() -> bool:
            return await _archived(site) == [row["id"] for row in fritz]

        await until(is_fritz_archived, 100)
        hanging.close()
    assert await site.unfinished() == len(alex)
    assert await site.events("job.archiving_failed") == []


async def test_a_place_that_hangs_while_an_entry_is_changed_again_holds_up_no_other(
    archive_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, never, waiting = Annotator.settle, asyncio.Event(), asyncio.Event()

    async def hanging(self: Annotator, works: Sequence[Work]) -> None:
        if any(work.job.cluster == "alex" for work in works):
            waiting.set()
            await never.wait()
        await settle(self, works)

    monkeypatch.setattr(Annotator, "settle", hanging)
    settings = ArchiveSettings(path=archive_site.archive.path, clusters={"alex": str(tmp_path / "alex")})
    site = archive_site.with_settings(archive=settings)
    await _stop_jobs(site, first=200, cluster="alex", subcluster="a40", resources='[{"hostname":"a0121"}]')
    async with running(site):
        await asyncio.wait_for(waiting.wait(), 60)
        fritz = await _stop_jobs(site)

        async def is_fritz_archived() -> bool:
            return await _archived(site) == [row["id"] for row in fritz]

        await until(is_fritz_archived, 60)


@pytest.mark.timeout(180)
async def test_a_stop_does_not_wait_for_a_file_system_that_does_not_answer(archive_site: Site, service: ServiceRunner) -> None:
    """Opening a pipe that nobody writes to waits in the system, as reading from a server of files that is gone does."""
    root = archive_site.archive.path
    root.mkdir(parents=True)
    os.mkfifo(root / "version.txt")
    settings = archive_site.settings
    process = await service.start("archiver", settings.nats, settings.database, settings.archive, settings.metrics, QUICK)
    assert [line["address"] for line in process.log_lines("archive_not_opened")] == [str(root)]
    assert await process.terminate(60) == 0
    (waited,) = process.log_lines("threads_not_ended")
    assert waited["number"] >= 1


async def test_a_place_that_held_an_archive_does_not_become_a_new_one_when_it_is_empty(archive_site: Site) -> None:
    root = archive_site.archive.path
    async with running(archive_site):
        assert (root / "version.txt").exists()
    mount = _unmount(root)
    rows = await _stop_jobs(archive_site)
    async with running(archive_site) as addresses:
        await until(lambda: _shows_outage(addresses, "archive"), 30)
        _, text = await _page(addresses, "readyz")
        assert "jobtide archive create" in text
        mount()
        await until(lambda: _is_done(archive_site), 60)
    assert await _archived(archive_site) == [row["id"] for row in rows]
    assert list(verify(root)) == []
