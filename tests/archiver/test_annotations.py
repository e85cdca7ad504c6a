"""Tags and metadata of archive entries follow the database, also under concurrent changes."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import delete, update

from shared.archive import (
    Entry,
    JobPath,
    imported_job,
    meta_of_row,
    open_archive,
    read_data,
    read_meta,
    render_meta,
    verify,
    write_cluster,
    write_entries,
)
from shared.database.engine import opened
from shared.database.tables import tables
from shared.domain.clusters import read_cluster
from shared.domain.events import JobMetadataEdited, JobTagged, Tag, TagRemoved
from shared.metricdata import MetricsSettings
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import QUICK, Site, job_row, running
from tests.support.builders import START_TIME, job_stopped
from tests.support.clusters import cluster_text
from tests.support.metric_store import serving
from tests.support.moods import Held
from tests.support.nats import client_of
from tests.support.processes import ServiceRunner
from tests.support.waiting import until

WRONG = (5, Tag(type="class", name="wrong"))
OTHER = (6, Tag(type="class", name="other"))


async def _is_done(site: Site) -> bool:
    return await site.unfinished() == 0


async def _insert_tags(site: Site, tags: list[tuple[int, Tag]], jobs: list[int]) -> None:
    async with opened(site.database) as engine, engine.begin() as connection:
        for id_, tag in tags:
            await connection.execute(tables.tag.insert(), {"id": id_, "tag_type": tag.type, "tag_name": tag.name, "tag_scope": tag.scope})
            await connection.execute(tables.jobtag.insert(), [{"job_id": job, "tag_id": id_} for job in jobs])


async def _archived_jobs(site: Site, count: int, tags: list[tuple[int, Tag]]) -> list[JobPath]:
    """Entries and rows of archived jobs with the tags."""
    rows = [job_row(1000 + job_id, job_id=job_id, monitoring_status=3, stop_seq=job_id, changed_seq=0) for job_id in range(1, count + 1)]
    await site.store(*rows, position=0)
    await _insert_tags(site, tags, [row["id"] for row in rows])
    open_archive(site.archive.path)
    write_cluster(site.archive.path, "fritz", cluster_text("fritz"))
    entries = []
    for row in rows:
        meta = meta_of_row(row, tags, statistics={}, footprint={"cpu_load_avg": 1.5}, energy_footprint={}, energy=0.0)
        entries.append(Entry(JobPath("fritz", row["job_id"], START_TIME), render_meta(meta), b"{}\n"))
    assert set(write_entries(site.archive.path, entries)) == {None}
    return [entry.path for entry in entries]


async def _remove_tag(site: Site, tag: tuple[int, Tag], **changed: Any) -> None:
    """Change the rows like jobstore when it applies the event."""
    (sequence,) = await site.publish(TagRemoved(tag=tag[1]))
    async with opened(site.database) as engine, engine.begin() as connection:
        await connection.execute(update(tables.job).values(changed_seq=sequence))
        await connection.execute(delete(tables.jobtag).where(tables.jobtag.c.tag_id == tag[0]))
        await connection.execute(delete(tables.tag).where(tables.tag.c.id == tag[0]))
        for id_, seq in changed.get("later", {}).items():
            await connection.execute(update(tables.job).where(tables.job.c.id == id_).values(changed_seq=sequence + seq))
    await site.store(position=sequence)


def _tags(root: Path, path: JobPath) -> list[str]:
    return [tag["name"] for tag in read_meta(root, path).get("tags", [])]


async def test_a_tag_removed_from_the_site_is_removed_from_all_entries(archive_site: Site) -> None:
    root = archive_site.archive.path
    paths = await _archived_jobs(archive_site, 450, [WRONG, OTHER])  # more than two chunks
    before = {path: read_meta(root, path) for path in paths}
    await _remove_tag(archive_site, WRONG, later={1007: 3, 1400: 1})  # two of them have changed again since
    async with running(archive_site):
        await until(lambda: _is_done(archive_site), 30)
    assert [_tags(root, path) for path in paths] == [["other"]] * 450
    for path, old in before.items():
        assert {**read_meta(root, path), "tags": None} == {**old, "tags": None}
    fritz = read_cluster(cluster_text("fritz"))
    assert [tag.name for tag in imported_job(read_meta(root, paths[0]), fritz).tags] == ["other"]


async def test_a_damaged_entry_is_archived_again_without_delaying_others(archive_site: Site) -> None:
    root = archive_site.archive.path
    paths = await _archived_jobs(archive_site, 250, [WRONG, OTHER])
    damaged = paths[3], paths[200]  # one in each chunk
    for path in damaged:
        (path.under(root) / "meta.json").write_bytes(b"{damaged")
    await _remove_tag(archive_site, WRONG)
    async with running(archive_site) as addresses:

        async def are_requested() -> bool:
            return len(await archive_site.events("job.archive_requested")) == 2

        await until(are_requested, 30)
        requests = await archive_site.events("job.archive_requested")
        await until(lambda: _are_updated(root, [path for path in paths if path not in damaged]), 30)
        assert 'jobtide_archiver_outcomes_total{outcome="retried"} 2.0' in await _metrics(addresses)
        for request in requests:
            await archive_site.change(request["id"], monitoring_status=1)
        await archive_site.store(position=(await archive_site.publish(JobTagged(id=1, cluster="fritz", tags=[OTHER[1]])))[0])
        await until(lambda: _is_done(archive_site), 30)
    assert [request["id"] for request in requests] == [1004, 1201]
    assert [_tags(root, path) for path in paths] == [["other"]] * 250


def _are_updated(root: Path, paths: list[JobPath]) -> bool:
    return all(_tags(root, path) == ["other"] for path in paths)


@pytest.mark.slow
async def test_the_tag_removal_of_a_killed_archiver_is_completed(archive_site: Site, service: ServiceRunner) -> None:
    root = archive_site.archive.path
    paths = await _archived_jobs(archive_site, 1500, [WRONG])
    await _remove_tag(archive_site, WRONG)
    settings = archive_site.settings
    process = await service.start(
        "archiver", settings.nats, settings.database, settings.archive, settings.metrics, QUICK.model_copy(update={"ack_wait_s": 5.0})
    )
    await until(lambda: not _tags(root, paths[0]), 20)
    process.kill9()
    process.launch()
    await process.up()
    await until(lambda: _is_done(archive_site), 40)
    assert await process.terminate() == 0
    assert [path for path in paths if _tags(root, path)] == []
    (event,) = process.log_lines("tag_removed_from_archive")
    assert event["jobs"] == 1500
    assert list(verify(root)) == []


async def test_a_change_that_another_replica_handles_while_a_job_is_archived_is_in_the_entry(archive_site: Site) -> None:
    store = recorded_store()
    store.mood = held = Held()
    async with serving(store) as url:
        full_with_three = QUICK.model_copy(update={"batch": 1, "jobs": 1, "group": 1, "threads": 1})
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url), archiver=full_with_three)
        sequences = await site.publish(*(job_stopped(job_id) for job_id in (1, 2, 3)))
        rows = [job_row(100 + n, job_id=n, stop_seq=seq, start_time=T0, duration=600) for n, seq in enumerate(sequences, 1)]
        await site.store(*rows, position=sequences[-1])
        row = rows[0]
        async with running(site) as addresses:
            await asyncio.wait_for(held.is_asked.wait(), 30)
            await until(partial(_holds, addresses, 3), 30)
            async with running(archive_site):
                *_, last = await site.publish(
                    JobTagged(id=row["id"], cluster="fritz", tags=[OTHER[1]]),
                    JobMetadataEdited(id=row["id"], cluster="fritz", key="note", value="late"),
                )
                await _insert_tags(site, [OTHER], [row["id"]])
                await site.change(row["id"], meta_data='{"note":"late"}')
                await site.store(position=last)
                await until(partial(_has_left, site, 3), 30)  # both changes have been handled, the stops have not
            held.may_answer.set()
            await until(lambda: _is_done(site), 20)
    meta = read_meta(site.archive.path, JobPath("fritz", 1, T0))
    assert (meta["metaData"], [tag["name"] for tag in meta["tags"]]) == ({"note": "late"}, ["other"])


@pytest.mark.parametrize("runs_again", [False, True])
async def test_an_entry_has_the_last_end_of_a_job_whose_end_changed_meanwhile(archive_site: Site, *, runs_again: bool) -> None:
    """A requeued job: the stop is reassigned to another run, so this one ended earlier or is running."""
    store = recorded_store()
    store.mood = held = Held()
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url), archiver=QUICK)
        (sequence,) = await site.publish(job_stopped(1))
        await site.store(job_row(100, job_id=1, stop_seq=sequence, start_time=T0, duration=600), position=sequence)
        async with running(site):
            await asyncio.wait_for(held.is_asked.wait(), 30)
            end = {"stop_seq": None, "duration": 0, "job_state": "running"} if runs_again else {"stop_seq": sequence + 7, "duration": 300}
            await site.change(100, **end)
            held.may_answer.set()
            await until(lambda: _is_done(site), 20)
    events = await site.events("job.archived")
    if runs_again:
        assert events == []
        return
    assert [event["stopSeq"] for event in events] == [sequence + 7]
    assert read_meta(site.archive.path, JobPath("fritz", 1, T0))["duration"] == 300


async def _metrics(addresses: dict[str, str]) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{addresses['health']}/metrics") as response:
        return await response.text()


async def _holds(addresses: dict[str, str], count: int) -> bool:
    return f'jobtide_archiver_queue{{state="in_hand"}} {count}.0' in await _metrics(addresses)


async def _has_left(site: Site, count: int) -> bool:
    return await site.unfinished() == count


async def test_an_entry_whose_meta_json_cannot_be_updated_is_archived_again(archive_site: Site) -> None:
    async with serving(recorded_store()) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url))
        row = await site.stopped_job(1, start_time=T0, duration=600)
        async with running(site):
            await until(lambda: _is_done(site), 30)
        path = JobPath("fritz", 1, T0)
        (path.under(site.archive.path) / "meta.json").write_bytes(b"{damaged")
        (sequence,) = await site.publish(JobTagged(id=row["id"], cluster="fritz", tags=[OTHER[1]]))
        await site.change(row["id"], monitoring_status=3)
        await _insert_tags(site, [OTHER], [row["id"]])
        await site.store(position=sequence)
        async with running(archive_site):  # without a metric store: the samples of the entry are preserved
            await until(lambda: _is_done(site), 20)
    assert _tags(site.archive.path, path) == ["other"]
    assert "cpu_load" in read_data(site.archive.path, path)
    assert len(await site.events("job.archived")) == 2


async def test_stops_unknown_to_a_restored_older_database_are_not_treated_as_refused(
    archive_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.archiver.dispatch.BEHIND_PAUSE_S", 0.2)
    store = recorded_store()
    store.mood = held = Held()
    async with serving(store) as url:
        few = QUICK.model_copy(update={"batch": 1, "jobs": 1, "group": 1, "threads": 1})  # most stops stay in the queue
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url), archiver=few)
        sequences = await site.publish(*(job_stopped(job_id) for job_id in range(1, 14)))
        rows = [job_row(100 + n, job_id=n, stop_seq=seq, start_time=T0, duration=600) for n, seq in enumerate(sequences, 1)]
        await site.store(*rows, position=sequences[-1])
        async with running(site) as addresses:
            await asyncio.wait_for(held.is_asked.wait(), 30)
            async with opened(site.database) as engine, engine.begin() as connection:
                await connection.execute(delete(tables.job).where(tables.job.c.id > 103))
                await connection.execute(update(tables.position).values(sequence=0))
            held.may_answer.set()
            await until(partial(_has_postponed, addresses), 30)
            await site.store(*rows[3:], position=sequences[-1])
            await until(lambda: _is_done(site), 20)
    assert sorted(event["id"] for event in await site.events("job.archived")) == [row["id"] for row in rows]


async def _has_postponed(addresses: dict[str, str]) -> bool:
    lines = (await _metrics(addresses)).splitlines()
    return any(line.startswith('jobtide_archiver_outcomes_total{outcome="later"}') and not line.endswith(" 0.0") for line in lines)


async def test_jobs_whose_stop_was_lost_with_the_log_are_archived(archive_site: Site) -> None:
    """The older log was lost before the stops were handled; the current one begins above them."""
    *_, last = await archive_site.publish(*(job_stopped(99) for _ in range(6)))
    lost = [job_row(100 + n, job_id=n, stop_seq=n, changed_seq=n) for n in (1, 2)]
    others = [
        job_row(103, job_id=3, stop_seq=3, monitoring_status=3),
        job_row(104, job_id=4, stop_seq=4, monitoring_status=0),
        job_row(105, job_id=5, job_state="running"),
    ]
    await archive_site.store(*lost, *others, position=last)
    async with client_of(archive_site.nats) as client:
        await client.jetstream(timeout=20).purge_stream(archive_site.nats.stream("EVENTS"), seq=last)
    async with running(archive_site), running(archive_site):

        async def are_requested() -> bool:
            return len(await archive_site.events("job.archive_requested")) == 2

        await until(are_requested, 30)
        await archive_site.store(position=last + 2)
        await until(lambda: _is_done(archive_site), 30)
    assert sorted(event["id"] for event in await archive_site.events("job.archive_requested")) == [101, 102]
    assert sorted(event["id"] for event in await archive_site.events("job.archived")) == [101, 102]


async def test_jobs_whose_stop_expires_while_the_archiver_runs_are_archived(archive_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.archiver.lost_stops.INTERVAL_S", 0.2)
    monkeypatch.setattr("services.archiver.lost_stops.CHUNK_PAUSE_S", 0.0)
    monkeypatch.setattr("services.archiver.lost_stops.JOBS_PER_CHUNK", 2)
    *_, last = await archive_site.publish(*(job_stopped(99) for _ in range(8)))
    rows = [job_row(100 + n, job_id=n, stop_seq=1 + n // 2) for n in range(1, 6)]  # pages end between jobs of one event
    await archive_site.store(*rows, position=last)
    async with running(archive_site):
        await until(lambda: _is_done(archive_site), 30)
        assert await archive_site.events("job.archive_requested") == []
        async with client_of(archive_site.nats) as client:
            await client.jetstream(timeout=20).purge_stream(archive_site.nats.stream("EVENTS"), seq=last)

        async def are_requested() -> bool:
            return len(await archive_site.events("job.archive_requested")) >= 5

        await until(are_requested, 30)
        await archive_site.store(position=last + 5)
        await until(lambda: _is_done(archive_site), 30)
    assert sorted(event["id"] for event in await archive_site.events("job.archive_requested")) == [101, 102, 103, 104, 105]
