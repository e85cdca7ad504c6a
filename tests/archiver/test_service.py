"""The archiver with a real broker and a real database."""

import errno
from pathlib import Path

import aiohttp
import orjson
import pytest

from services.archiver.settings import ArchiverSettings
from shared.archive import Entry, JobPath, is_complete, read_data, read_meta, write_entries
from shared.database.engine import opened
from shared.database.tables import tables
from shared.domain.events import JobArchiveRequested, JobMetadataEdited, JobTagged, Tag
from shared.metricdata import MetricsSettings
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import QUICK, Site, job_row, running
from tests.support.builders import START_TIME, job_stopped
from tests.support.metric_store import serving
from tests.support.nats import client_of
from tests.support.waiting import until


async def _done(site: Site) -> None:
    """Every message of the queue is acknowledged."""

    async def nothing_is_left() -> bool:
        return await site.unfinished() == 0

    await until(nothing_is_left, 30, "empty queue")


async def test_a_stopped_job_ends_as_a_complete_entry_and_an_event(archive_site: Site) -> None:
    row = await archive_site.stopped_job(1403244, meta_data='{"jobName":"cfd <1>"}')
    path = JobPath("fritz", 1403244, START_TIME)
    async with running(archive_site):
        await _done(archive_site)
    root = archive_site.archive.path
    meta = read_meta(root, path)
    assert (meta["id"], meta["jobId"], meta["monitoringStatus"], meta["metaData"]) == (row["id"], 1403244, 3, {"jobName": "cfd <1>"})
    assert (meta["submitTime"], meta["walltime"], meta["partition"]) == (START_TIME - 60, 86_400, "main")
    assert is_complete(root, path)
    assert read_data(root, path) == {}
    assert (root / "version.txt").read_text() == "3\n"
    assert (root / "fritz" / "cluster.json").is_file()
    (event,) = await archive_site.events("job.archived")
    assert event["id"] == row["id"]


async def test_a_refused_stop_and_an_unmonitored_job_leave_nothing(archive_site: Site) -> None:
    refused, unmonitored = await archive_site.publish(job_stopped(1), job_stopped(2))
    await archive_site.store(job_row(7, job_id=2, stop_seq=unmonitored, monitoring_status=0), position=unmonitored)
    async with running(archive_site):
        await _done(archive_site)
    assert refused < unmonitored
    assert not list(archive_site.archive.path.glob("fritz/*/*"))
    assert await archive_site.events("job.archived") == []


async def test_nothing_happens_before_jobstore_has_passed_the_event(archive_site: Site) -> None:
    (sequence,) = await archive_site.publish(job_stopped(1))
    row = job_row(7, stop_seq=sequence)
    await archive_site.store(position=sequence - 1)
    async with running(archive_site):

        async def is_taken() -> bool:
            async with client_of(archive_site.nats) as client:
                info = await client.jetstream().consumer_info(archive_site.nats.stream("EVENTS"), "archiver")
                return bool(info.num_ack_pending == 1)

        await until(is_taken)
        assert await archive_site.events("job.archived") == []
        await archive_site.store(row, position=sequence)
        await _done(archive_site)
    assert len(await archive_site.events("job.archived")) == 1


async def test_a_position_in_another_log_is_ignored(archive_site: Site) -> None:
    """Sequences of a recreated stream mean other events: acting on them would drop jobs."""
    (sequence,) = await archive_site.publish(job_stopped(1))
    await archive_site.store(job_row(7, stop_seq=sequence), position=sequence)
    async with opened(archive_site.database) as engine, engine.begin() as connection:
        await connection.execute(tables.position.update().values(stream_created="another", sequence=10**6))
    async with running(archive_site.with_settings(archiver=QUICK.model_copy(update={"ack_wait_s": 1.0}))):
        await until(archive_site.unfinished)
        assert await archive_site.events("job.archived") == []
        await archive_site.store(position=sequence)
        await _done(archive_site)
    assert len(await archive_site.events("job.archived")) == 1


async def test_a_parked_stop_is_archived_after_its_start_arrived(archive_site: Site) -> None:
    (sequence,) = await archive_site.publish(job_stopped(1))
    await archive_site.store(position=sequence)
    parked = {"seq": sequence, "job_id": 1, "stop_time": START_TIME + 3600, "job_state": "completed", "origin": "x", "parked_at": 0.0}
    async with opened(archive_site.database) as engine, engine.begin() as connection:
        await connection.execute(tables.parked_stop.insert(), parked)
    async with running(archive_site) as addresses:
        await until(lambda: _metric(addresses, 'outcomes_total{outcome="later"}'))
        async with opened(archive_site.database) as engine, engine.begin() as connection:
            await connection.execute(tables.parked_stop.delete())
            await connection.execute(tables.job.insert(), job_row(7, stop_seq=sequence))
        await _done(archive_site)
    assert len(await archive_site.events("job.archived")) == 1


async def test_tags_and_metadata_of_an_archived_job_follow_the_database(archive_site: Site) -> None:
    row = await archive_site.stopped_job(1)
    path = JobPath("fritz", 1, START_TIME)
    root = archive_site.archive.path
    async with running(archive_site):
        await _done(archive_site)
        before = read_meta(root, path)
        tag = Tag(type="jobClass", name="idle", scope="alice")
        *_, last = await archive_site.publish(
            JobTagged(id=row["id"], cluster="fritz", tags=[tag]),
            JobMetadataEdited(id=row["id"], cluster="fritz", key="message", value="a & b"),
        )
        await archive_site.change(row["id"], monitoring_status=3, meta_data='{"message":"a & b"}')
        async with opened(archive_site.database) as engine, engine.begin() as connection:
            await connection.execute(tables.tag.insert(), {"id": 5, "tag_type": "jobClass", "tag_name": "idle", "tag_scope": "alice"})
            await connection.execute(tables.jobtag.insert(), {"job_id": row["id"], "tag_id": 5})
        await archive_site.store(position=last)
        await _done(archive_site)
    after = read_meta(root, path)
    assert after["tags"] == [{"type": "jobClass", "name": "idle", "scope": "alice", "id": 5}]
    assert after["metaData"] == {"message": "a & b"}
    assert {**after, "tags": None, "metaData": None} == {**before, "tags": None, "metaData": None}
    assert len(await archive_site.events("job.archived")) == 1


async def test_a_recreated_queue_repeats_nothing(archive_site: Site) -> None:
    """A recreated consumer starts at the first event of the log."""
    row = await archive_site.stopped_job(1)
    async with running(archive_site):
        await _done(archive_site)
        await archive_site.change(row["id"], monitoring_status=3)
        entry = JobPath("fritz", 1, START_TIME).under(archive_site.archive.path) / "meta.json"
        written_at = entry.stat().st_mtime_ns
        async with client_of(archive_site.nats) as client:
            await client.jetstream().delete_consumer(archive_site.nats.stream("EVENTS"), "archiver")
        later = await archive_site.stopped_job(2)

        async def both() -> bool:
            return len(await archive_site.events("job.archived")) == 2

        await until(both, 20)
        await _done(archive_site)
    assert entry.stat().st_mtime_ns == written_at
    assert [event["id"] for event in await archive_site.events("job.archived")] == [row["id"], later["id"]]


async def test_a_tag_in_the_same_batch_as_a_repeated_stop_is_not_lost(archive_site: Site) -> None:
    row = await archive_site.stopped_job(1)
    async with running(archive_site):
        await _done(archive_site)
    (sequence,) = await archive_site.publish(JobMetadataEdited(id=row["id"], cluster="fritz", key="k", value="v"))
    await archive_site.change(row["id"], monitoring_status=3, meta_data='{"k":"v"}')
    await archive_site.store(position=sequence)
    async with client_of(archive_site.nats) as client:
        await client.jetstream().delete_consumer(archive_site.nats.stream("EVENTS"), "archiver")
    async with running(archive_site):  # both events are in one batch
        await _done(archive_site)
    assert read_meta(archive_site.archive.path, JobPath("fritz", 1, START_TIME))["metaData"] == {"k": "v"}
    assert len(await archive_site.events("job.archived")) == 1


async def test_a_lost_entry_is_written_again_with_its_data(archive_site: Site) -> None:
    async with serving(recorded_store()) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url))
        await site.stopped_job(1, start_time=T0, duration=600, monitoring_status=3)
        async with running(site):
            await _done(site)
    assert "cpu_load" in read_data(site.archive.path, JobPath("fritz", 1, T0))


async def test_a_failing_store_is_a_visible_failure_that_can_be_retried(archive_site: Site) -> None:
    store = recorded_store()
    metrics = dict(store.metrics)
    store.metrics.clear()  # the store answers with an error for each metric
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url, tries=1))
        row = await site.stopped_job(1, start_time=T0, duration=600)
        async with running(site):
            await _done(site)
        (event,) = await site.events("job.archiving_failed")
        assert (event["id"], event["attempts"]) == (row["id"], 3)
        assert "only errors for the job" in event["reason"]
        assert not (site.archive.path / "fritz" / "0").exists()

        await site.change(row["id"], monitoring_status=1)
        (sequence,) = await site.publish(JobArchiveRequested(id=row["id"], cluster="fritz"))
        await site.store(position=sequence)
        store.metrics.update(metrics)
        async with running(site):
            await _done(site)
    (event,) = await site.events("job.archived")
    meta = read_meta(site.archive.path, JobPath("fritz", 1, T0))
    assert meta["footprint"] == event["footprint"]
    assert set(meta["footprint"]) == {"cpu_load_avg", "mem_used_max", "flops_any_avg", "mem_bw_avg"}
    assert meta["energy"] == pytest.approx(event["energy"])
    assert set(meta["energyFootprint"]) == {"cpu_power", "mem_power"}


async def test_jobs_wait_while_the_disk_is_full(archive_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def full(root: Path, entries: list[Entry]) -> list[Exception | None]:
        nonlocal tries
        tries += 1
        return [OSError(errno.ENOSPC, "No space left on device")] * len(entries) if tries <= 5 else write_entries(root, entries)

    monkeypatch.setattr("shared.archive.files.write_entries", full)
    monkeypatch.setattr("services.archiver.dependencies.PROBE_INTERVAL_S", 0.05)
    await archive_site.stopped_job(1)
    async with running(archive_site):
        await _done(archive_site)
    assert tries == 6
    assert len(await archive_site.events("job.archived")) == 1
    assert await archive_site.events("job.archiving_failed") == []


async def test_two_replicas_share_the_queue(archive_site: Site) -> None:
    sequences = await archive_site.publish(*(job_stopped(job_id) for job_id in range(1, 201)))
    rows = [job_row(1000 + job_id, job_id=job_id, stop_seq=sequence) for job_id, sequence in enumerate(sequences, 1)]
    await archive_site.store(*rows, position=sequences[-1])
    small = archive_site.with_settings(archiver=QUICK.model_copy(update={"batch": 10}))
    async with running(small), running(small):
        await _done(archive_site)
    archived = await archive_site.events("job.archived")
    assert sorted(event["id"] for event in archived) == [row["id"] for row in rows]
    assert all(is_complete(archive_site.archive.path, JobPath("fritz", row["job_id"], START_TIME)) for row in rows)


async def test_readiness_names_the_dependency_that_fails(archive_site: Site) -> None:
    async with running(archive_site) as addresses, aiohttp.ClientSession() as session:
        for page in ("healthz", "readyz", "metrics"):
            async with session.get(f"http://{addresses['health']}/{page}") as response:
                assert response.status == 200
        archive_site.archive.path.rename(archive_site.archive.path.with_name("gone"))
        async with session.get(f"http://{addresses['health']}/readyz") as response:
            assert (response.status, list((await response.json())["failing"])) == (503, ["archive"])


async def _metric(addresses: dict[str, str], name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"http://{addresses['health']}/metrics") as response:
        for line in (await response.text()).splitlines():
            if line.startswith(f"jobtide_archiver_{name} "):
                return float(line.rsplit(" ", 1)[1])
    return 0.0


def test_retries_must_grow() -> None:
    with pytest.raises(ValueError, match="retry_max_s"):
        ArchiverSettings(retry_first_s=10, retry_max_s=1)


async def test_rules_are_evaluated_when_a_job_is_archived(archive_site: Site, tmp_path: Path) -> None:
    """The advice event follows that of the entry; changed rules are used without a restart."""
    script = orjson.dumps({"jobScript": "srun gmx_mpi mdrun"}).decode()
    own = tmp_path / "rules"
    own.mkdir()
    (own / "load.toml").write_text(
        'tag = "measured"\ntitle = "Load"\nmetrics = ["cpu_load"]\nwhen = "cpu_load.max > 0"\ntext = "The load was {cpu_load.max > 0}."\n'
    )
    settings = QUICK.model_copy(update={"advice": True, "advice_rules": own})
    times = {"start_time": T0, "duration": 600}
    async with serving(recorded_store()) as url:
        site = archive_site.with_settings(archiver=settings, metrics=MetricsSettings(kind="cc-metric-store", url=url))
        row = await site.stopped_job(1, **times, job_state="timeout", meta_data=script, resources='[{"hostname":"f0101"}]')
        async with running(site):
            (event,) = await until(lambda: archive_site.events("job.advised"))
    assert (event["id"], event["applications"]) == (row["id"], ["gromacs"])
    advice = {one["rule"]: one for one in event["advice"]}
    assert advice["timelimit"]["severity"] == "warning"
    assert advice["measured"]["text"] == "The load was true."


async def test_a_job_without_findings_has_no_advice(archive_site: Site) -> None:
    await archive_site.stopped_job(1, walltime=4000)
    async with running(archive_site.with_settings(archiver=QUICK.model_copy(update={"advice": True}))):
        await _done(archive_site)
    assert await archive_site.events("job.advised") == []
    assert len(await archive_site.events("job.archived")) == 1
