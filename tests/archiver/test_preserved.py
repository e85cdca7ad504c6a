"""Archiving again preserves metric data that have expired from the store."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.archiver.jobs import JobRecord
from services.archiver.work import Work, perform
from shared.archive import JobPath, read_data, read_meta, read_preserved, verify
from shared.archive.files import FileStore
from shared.archive.meta import KEY_ORDER
from shared.domain.events import JobArchiveRequested, Tag
from shared.metricdata import JobData, MetricsSettings
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import Site, job_row, running
from tests.support.metric_store import serving
from tests.support.waiting import until

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
PATH = JobPath("emmy", 1403244, 1608923076)
RESULTS = {"footprint": {"cpu_load_avg": 18.4}, "energy": 12.5, "energyFootprint": {"cpu_power": 12.5}}
SENT = '{"mem_used":{"unit":{"base":"B"},"avg":1.0,"min":1.0,"max":1.0}}'


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A copy of the sample archive, with footprint, energy and a key unknown to the format."""
    root = Path(shutil.copytree(SAMPLE, tmp_path / "archive"))
    _change(root, **RESULTS, tags=[{"type": "old", "name": "gone"}], siteNote="ours", project="old")
    return root


def _place(root: Path) -> Path:
    return PATH.under(root)


def _change(root: Path, **values: Any) -> None:
    file = _place(root) / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def _files(root: Path) -> set[str]:
    return {file.name for file in _place(root).iterdir()}


def _work(data: JobData | None = None, **columns: Any) -> Work:
    meta = read_meta(SAMPLE, PATH)
    row = job_row(
        77,
        job_id=PATH.job_id,
        hosts=[one["hostname"] for one in meta["resources"]],
        cluster="emmy",
        subcluster="haswell",
        start_time=PATH.start_time,
        duration=meta["duration"],
        meta_data='{"message":"new"}',
        **columns,
    )
    return Work(JobRecord(row, [(3, Tag(type="new", name="tag"))]), [], archives=True, data=data)


def _again(root: Path, data: JobData | None = None, **columns: Any) -> Work:
    work = _work(data, **columns)
    perform(FileStore(root), [work])
    assert work.error is None
    return work


@pytest.mark.parametrize("data", [None, {}], ids=["no source", "a source without the job"])
def test_an_entry_keeps_its_data_and_results_and_follows_the_database(archive: Path, data: JobData | None) -> None:
    before = read_meta(archive, PATH)
    series = (_place(archive) / "data.json.gz").read_bytes()
    work = _again(archive, data)
    after = read_meta(archive, PATH)
    assert _files(archive) == {"meta.json", "data.json.gz"}
    assert (_place(archive) / "data.json.gz").read_bytes() == series
    assert after["statistics"] == before["statistics"]
    assert {key: after[key] for key in RESULTS} == RESULTS
    assert (after["id"], after["project"], after["metaData"]) == (77, "physics", {"message": "new"})
    assert after["tags"] == [{"type": "new", "name": "tag", "scope": "global", "id": 3}]
    assert after["siteNote"] == "ours"
    assert work.results is not None
    assert (work.results.footprint, work.results.energy, work.results.energy_footprint) == tuple(RESULTS.values())
    assert list(verify(archive)) == []


def test_results_without_a_data_file_are_preserved_too(archive: Path) -> None:
    before = read_meta(archive, PATH)
    (_place(archive) / "data.json.gz").unlink()
    work = _again(archive)
    after = read_meta(archive, PATH)
    assert _files(archive) == {"meta.json", "data.json"}
    assert after["statistics"] == before["statistics"]
    assert {key: after[key] for key in RESULTS} == RESULTS
    assert work.results is not None
    assert work.results.energy == 12.5


def test_values_missing_in_the_entry_come_from_the_database(archive: Path) -> None:
    _change(archive, statistics=None, footprint={}, energy=0, energyFootprint=None)
    _again(archive, {}, statistics=SENT, footprint='{"mem_used_max":1.0}', energy=2.0, energy_footprint='{"cpu_power":2.0}')
    after = read_meta(archive, PATH)
    assert list(after["statistics"]) == ["mem_used"]
    assert (after["footprint"], after["energy"], after["energyFootprint"]) == ({"mem_used_max": 1.0}, 2.0, {"cpu_power": 2.0})


@pytest.mark.parametrize("content", [b"{", b"[]"], ids=["cut", "a list"])
def test_data_survive_next_to_a_damaged_meta_json_which_is_rewritten(content: bytes, archive: Path) -> None:
    (_place(archive) / "meta.json").write_bytes(content)
    _again(archive, statistics=SENT)
    assert "clock" in read_data(archive, PATH)
    assert list(read_meta(archive, PATH)["statistics"]) == ["mem_used"]


def test_a_damaged_data_file_stays_and_is_still_reported(archive: Path) -> None:
    file = _place(archive) / "data.json.gz"
    cut = file.read_bytes()[:-500]
    file.write_bytes(cut)
    _again(archive)
    assert _files(archive) == {"meta.json", "data.json.gz"}
    assert file.read_bytes() == cut
    assert [finding.path for finding in verify(archive)] == [file]


@pytest.mark.parametrize(
    ("packed", "plain", "stays"),
    [
        (b'{"a":{}}', b"{}", "data.json.gz"),
        (b'{"a":{}}', b'{"b":{}}', "data.json.gz"),
        (b"{}", b'{"b":{}}', "data.json"),
        (b"{", b'{"b":{}}', "data.json"),
        (b"{", b"{}", "data.json.gz"),
        (b"{}", b"{}", "data.json"),
    ],
)
def test_only_the_better_one_of_two_data_files_is_preserved(archive: Path, packed: bytes, plain: bytes, stays: str) -> None:
    (_place(archive) / "data.json.gz").write_bytes(gzip.compress(packed))
    (_place(archive) / "data.json").write_bytes(plain)
    _again(archive)
    assert _files(archive) == {"meta.json", stays}


def test_an_empty_data_file_is_not_preserved(archive: Path) -> None:
    (_place(archive) / "data.json.gz").write_bytes(b"")
    _again(archive)
    assert _files(archive) == {"meta.json", "data.json"}
    assert list(verify(archive)) == []


def test_an_entry_of_another_job_is_neither_adopted_nor_overwritten(archive: Path) -> None:
    _change(archive, jobId=5)
    before = {file.name: file.read_bytes() for file in _place(archive).iterdir()}
    work = _work()
    perform(FileStore(archive), [work])
    assert "meta.json belongs to job 5" in str(work.error)
    assert {file.name: file.read_bytes() for file in _place(archive).iterdir()} == before


def test_an_unreadable_file_does_not_count_as_missing(archive: Path) -> None:
    (_place(archive) / "data.json.gz").unlink()
    (_place(archive) / "data.json.gz").mkdir()
    with pytest.raises(IsADirectoryError):
        read_preserved(archive, PATH)


def test_values_that_are_not_numbers_do_not_become_results(archive: Path) -> None:
    _change(archive, footprint={"a_avg": "x", "b_avg": True, "c_avg": 3}, energy="much", energyFootprint=[])
    kept = read_preserved(archive, PATH)
    assert (kept.footprint, kept.energy, kept.energy_footprint) == ({"c_avg": 3}, 0.0, {})
    assert set(kept.others).isdisjoint(set(KEY_ORDER) - {"concurrentJobs"})


async def test_archiving_again_after_the_store_expired_the_job_preserves_its_data(archive_site: Site) -> None:
    """Archive with data, expire the samples, request archiving again."""

    async def archived(site: Site, times: int) -> None:
        async def is_done() -> bool:
            return len(await site.events("job.archived")) == times and await site.unfinished() == 0

        async with running(site):
            await until(is_done, 20)

    path = JobPath("fritz", 1, T0)
    async with serving(recorded_store()) as url:
        site = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url))
        row = await site.stopped_job(1, start_time=T0, duration=600)
        await archived(site, 1)
    files = {file.name: file.read_bytes() for file in path.under(site.archive.path).iterdir()}
    assert "data.json.gz" in files

    store = recorded_store()
    store.clusters.clear()
    async with serving(store) as url:
        aged = archive_site.with_settings(metrics=MetricsSettings(kind="cc-metric-store", url=url))
        for times, again in ((2, aged), (3, archive_site)):
            (sequence,) = await again.publish(JobArchiveRequested(id=row["id"], cluster="fritz"))
            await again.store(position=sequence)
            await archived(again, times)
            assert {file.name: file.read_bytes() for file in path.under(site.archive.path).iterdir()} == files
    first, *later = await site.events("job.archived")
    assert first["energy"] > 0
    assert [{**event, "time": None} for event in later] == [{**first, "time": None}] * 2
