"""Old entries are deleted, moved or copied as the settings say, and never lost on the way."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.archiver.annotations import Annotator
from services.archiver.jobs import JobReader
from services.archiver.prometheus import ArchiverNumbers
from services.archiver.retention import Retention
from shared.archive import ArchiveError, ArchiveUnavailable, Entry, JobPath
from shared.archive.files import FileStore
from shared.archive.moving import replicate, selected_paths
from shared.archive.places import present_store, retention_store, store_of
from shared.archive.selection import Selection
from shared.broker.publisher import Publisher
from shared.database.engine import opened
from shared.domain.events import JobMetadataEdited
from shared.errors import UserError
from shared.health import Health
from shared.settings import ArchiveSettings, load
from tests.archiver.site import QUICK, Site, job_row, running
from tests.support.builders import START_TIME
from tests.support.nats import client_of
from tests.support.processes import ServiceRunner
from tests.support.waiting import until

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
FIRST, SECOND = JobPath("emmy", 1403244, 1608923076), JobPath("emmy", 1404397, 1609300556)
BETWEEN = 1609000000 + 100 * 86_400  # with an age of 100 days only FIRST is old


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "archive"))


def settings_of(archive: Path, policy: str, **more: Any) -> ArchiveSettings:
    target = {} if policy == "delete" else {"retention_target": f"sqlite:///{archive.parent}/old.db"}
    settings = load(ArchiveSettings, path=archive, retention=policy, retention_days=100, **target, **more)
    if (store := retention_store(settings)) is not None:
        store.open()
    return settings


async def one_round(site: Site, settings: ArchiveSettings, *, now: float = BETWEEN) -> int:
    async with opened(site.database, read_only=True) as engine, client_of(site.nats) as client:
        retention = Retention(
            settings,
            present_store(settings),
            retention_store(settings),
            JobReader(engine),
            Annotator(JobReader(engine), store_of(settings)),
            Publisher(client, site.nats.prefix),
            ArchiverNumbers(Health("archiver").registry),
            lambda: now,
        )
        return await retention.round(asyncio.Event())


async def test_old_entries_are_moved_and_stay_readable(archive_site: Site, archive: Path) -> None:
    settings = settings_of(archive, "move")
    assert await one_round(archive_site, settings) == 1
    assert await one_round(archive_site, settings) == 0
    target = retention_store(settings)
    assert target is not None
    assert (list(FileStore(archive).paths()), list(target.paths())) == ([SECOND], [FIRST])
    assert target.clusters() == ["alex", "emmy", "fritz"]
    whole = store_of(settings)
    assert whole.entry(FIRST) == FileStore(SAMPLE).entry(FIRST)
    assert whole.entry(SECOND) == FileStore(SAMPLE).entry(SECOND)


async def test_tags_and_metadata_written_at_the_last_moment_are_in_the_moved_entry(archive_site: Site, archive: Path) -> None:
    """The database has them, and the entry in the archive did not when it was copied."""
    for number, path, metadata in ((77, FIRST, '{"note":"late"}'), (78, SECOND, None)):
        row = job_row(number, job_id=path.job_id, cluster="emmy", start_time=path.start_time, meta_data=metadata)
        await archive_site.store(row, position=0)
    settings = settings_of(archive, "move")
    assert await one_round(archive_site, settings, now=2e9) == 2
    target = retention_store(settings)
    assert target is not None
    assert target.document(FIRST)["metaData"] == {"note": "late"}
    assert target.entry(SECOND) == FileStore(SAMPLE).entry(SECOND), "nothing has changed, so it has the same bytes"


async def test_copied_entries_follow_later_changes(archive_site: Site, archive: Path) -> None:
    settings = settings_of(archive, "copy")
    assert await one_round(archive_site, settings) == 1
    store, target = FileStore(archive), retention_store(settings)
    assert target is not None
    assert list(store.paths()) == [FIRST, SECOND]
    assert await one_round(archive_site, settings) == 0
    store.write([Entry(FIRST, b'{"changed":1}', None)])
    assert await one_round(archive_site, settings) == 1
    assert target.document(FIRST) == {"changed": 1}
    store.write([Entry(FIRST, b'{"changed":1}', b'{"cpu_load":{}}')])
    assert await one_round(archive_site, settings) == 1
    assert target.entry(FIRST) == store.entry(FIRST)


@pytest.mark.parametrize("policy", ["delete", "move"])
async def test_tagged_jobs_stay_as_asked_and_unreadable_ones_too(policy: str, archive_site: Site, archive: Path) -> None:
    meta = json.loads((FIRST.under(archive) / "meta.json").read_bytes()) | {"tags": [{"type": "project", "name": "x"}]}
    (FIRST.under(archive) / "meta.json").write_text(json.dumps(meta))
    (SECOND.under(archive) / "meta.json").write_text("{")
    assert await one_round(archive_site, settings_of(archive, policy, retention_omit_tagged="user"), now=2e9) == 0
    assert list(FileStore(archive).paths()) == [FIRST, SECOND]


@pytest.mark.parametrize("tags", ["5", '["x"]', '[{"type":["a"],"name":"x"}]', '[{"type":"a","name":"x","scope":1}]'])
def test_an_entry_with_odd_tags_fails_alone(tags: str, archive: Path) -> None:
    (FIRST.under(archive) / "meta.json").write_text(f'{{"tags":{tags}}}')
    (SECOND.under(archive) / "meta.json").write_text('{"tags":null}')
    failed: list[JobPath] = []
    found = selected_paths(FileStore(archive), Selection(omit_tagged="user"), failed=lambda path, _: failed.append(path))
    assert (list(found), failed) == ([SECOND], [FIRST])


async def test_retention_goes_on_after_an_error_that_nobody_expected(archive_site: Site, archive: Path) -> None:
    settings, stop, rounds = settings_of(archive, "delete"), asyncio.Event(), 0

    class Odd(FileStore):
        def require(self) -> None:
            nonlocal rounds
            rounds += 1
            raise TypeError("odd")

    async with opened(archive_site.database, read_only=True) as engine, client_of(archive_site.nats) as client:
        reader, numbers = JobReader(engine), ArchiverNumbers(Health("archiver").registry)
        annotator, publisher = Annotator(reader, store_of(settings)), Publisher(client, archive_site.nats.prefix)
        retention = Retention(settings, Odd(archive), None, reader, annotator, publisher, numbers)
        running = asyncio.create_task(retention.run(stop, lambda: None))
        await until(lambda: rounds > 0, 10)
        stop.set()
        await running
    assert list(FileStore(archive).paths()) == [FIRST, SECOND]


async def test_deleted_entries_leave_the_database_only_if_asked(archive_site: Site, archive: Path) -> None:
    row = job_row(77, job_id=FIRST.job_id, cluster="emmy", start_time=FIRST.start_time)
    await archive_site.store(row, job_row(78, job_id=FIRST.job_id, cluster="emmy", start_time=FIRST.start_time + 5), position=0)
    copy = Path(shutil.copytree(archive, archive.with_name("copy")))
    assert await one_round(archive_site, settings_of(copy, "delete")) == 1
    assert await archive_site.events("job.deleted") == []
    assert await one_round(archive_site, settings_of(archive, "delete", retention_database=True)) == 1
    assert await archive_site.events("job.deleted") == [{"id": 77, "cluster": "emmy"}]
    assert list(FileStore(archive).paths()) == [SECOND]


async def test_nothing_is_removed_while_the_target_is_away(archive_site: Site, archive: Path) -> None:
    settings = settings_of(archive, "move").model_copy(update={"retention_target": "s3://old", "s3_endpoint": "http://127.0.0.1:1"})
    with pytest.raises(ArchiveUnavailable):
        await one_round(archive_site, settings)
    assert list(FileStore(archive).paths()) == [FIRST, SECOND]


async def test_a_target_that_is_not_mounted_stays_empty_and_nothing_is_moved(archive_site: Site, archive: Path, tmp_path: Path) -> None:
    place = tmp_path / "mount"
    place.mkdir()
    settings = settings_of(archive, "move").model_copy(update={"retention_target": str(place)})
    with pytest.raises(ArchiveUnavailable, match="jobtide archive create"):
        await one_round(archive_site, settings)
    assert list(place.iterdir()) == []
    assert list(FileStore(archive).paths()) == [FIRST, SECOND]


def test_an_archive_is_never_moved_to_itself(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the spelling of its place: a trailing slash, a relative path, a link; as a part too."""
    monkeypatch.chdir(archive.parent)
    (archive.parent / "link").symlink_to(archive)
    for address in (f"{archive}/", "archive", str(archive.parent / "link"), f"{archive.parent}/link/../archive"):
        settings = load(ArchiveSettings, path="other", clusters={"emmy": str(archive)}, retention_target=address)
        with pytest.raises(UserError, match="is the archive itself"):
            store_of(settings)
        with pytest.raises(UserError, match="is the archive itself"):
            replicate(present_store(settings), FileStore(Path(address)), [FIRST, SECOND], moves=True)
    for one, other in (("sqlite:////x/a.db", "sqlite:////x/../x/a.db"), ("s3://b/p", "s3://b/p/"), ("s3://b", "s3://b/")):
        with pytest.raises(UserError, match="is the archive itself"):
            store_of(load(ArchiveSettings, url=one, retention_target=other))
    store_of(load(ArchiveSettings, url="s3://b/p", retention_target="s3://b/q"))
    assert list(FileStore(archive).paths()) == [FIRST, SECOND]


def test_an_entry_without_series_does_not_replace_a_moved_one_with_series(archive: Path) -> None:
    source, target = FileStore(archive), FileStore(archive.with_name("old"))
    target.open()
    assert replicate(source, target, [FIRST], moves=True) == [None]
    source.write([Entry(FIRST, target.meta(FIRST), b"{}")])
    (error,) = replicate(source, target, [FIRST], moves=True)
    assert "no time series" in str(error)
    assert target.data(FIRST).has_metrics
    assert source.is_complete(FIRST)


class Lossy(FileStore):
    """Reports success, and stores other data."""

    def write(self, entries: Any) -> list[Exception | None]:
        return super().write([Entry(entry.path, entry.meta, b"{}") for entry in entries])


class Changing(FileStore):
    """The entry changes while it is copied."""

    def write(self, entries: Any) -> list[Exception | None]:
        FileStore(self.root.with_name("archive")).write([Entry(entry.path, b'{"later":1}', None) for entry in entries])
        return super().write(entries)


def test_an_entry_is_removed_only_after_its_copy_was_read_back(archive: Path) -> None:
    source, lossy, changing = FileStore(archive), Lossy(archive.with_name("lossy")), Changing(archive.with_name("changing"))
    lossy.open()
    changing.open()
    (error,) = replicate(source, lossy, [FIRST], moves=True)
    assert isinstance(error, ArchiveError)
    assert replicate(source, changing, [FIRST], moves=True) == [None]
    assert source.document(FIRST) == {"later": 1}, "it changed meanwhile, so it is still here"
    assert replicate(source, FileStore(changing.root), [FIRST, JobPath("emmy", 1, 1)], moves=True)[0] is None
    assert list(source.paths()) == [SECOND]
    assert FileStore(changing.root).document(FIRST) == {"later": 1}


async def test_a_running_archiver_moves_old_entries_and_still_updates_them(archive_site: Site, tmp_path: Path) -> None:
    settings = load(
        ArchiveSettings,
        path=archive_site.archive.path,
        retention="move",
        retention_days=1,
        retention_target=str(tmp_path / "old"),
        retention_every_h=0.0001,
    )
    site = archive_site.with_settings(archive=settings)
    path, old = JobPath("fritz", 1, START_TIME), FileStore(tmp_path / "old")
    old.open()
    async with running(site):
        row = await site.stopped_job(1)
        await until(lambda: asyncio.to_thread(lambda: old.is_complete(path) and not FileStore(settings.path).is_complete(path)), 30)
        await site.change(row["id"], meta_data='{"note":"later"}')
        (sequence,) = await site.publish(JobMetadataEdited(id=row["id"], cluster="fritz", key="note", value="later"))
        await site.store(position=sequence)
        await until(lambda: asyncio.to_thread(lambda: old.document(path)["metaData"] == {"note": "later"}), 30)
    assert not FileStore(settings.path).is_complete(path)


@pytest.mark.timeout(180)
async def test_an_archiver_that_is_killed_while_it_moves_loses_no_entry(archive_site: Site, service: ServiceRunner, tmp_path: Path) -> None:
    meta = json.loads((FIRST.under(SAMPLE) / "meta.json").read_bytes())
    entries = {
        path: Entry(path, json.dumps(meta | {"jobId": path.job_id}).encode(), b'{"cpu_load":{}}')
        for path in (JobPath("emmy", number, FIRST.start_time) for number in range(1, 1001))
    }
    settings = load(
        ArchiveSettings,
        path=archive_site.archive.path,
        retention="move",
        retention_days=1,
        retention_target=f"sqlite:///{tmp_path / 'old.db'}",
    )
    present, target = FileStore(settings.path), retention_store(settings)
    assert target is not None
    present.open()
    target.open()
    assert present.write(list(entries.values())) == [None] * len(entries)

    def moved() -> int:
        return sum(1 for _ in target.paths())

    site = archive_site.with_settings(archive=settings).settings
    process = await service.start("archiver", site.nats, site.database, site.archive, site.metrics, QUICK)
    for _ in range(3):
        before = moved()
        await until(lambda: asyncio.to_thread(lambda: moved() > before or moved() == len(entries)), 60)  # noqa: B023 - called at once
        process.kill9()
        whole = store_of(settings)
        assert {path: whole.entry(path) for path in entries} == entries, "each is in one place or the other"
        whole.close()
        process.launch()
        await process.up()
    await until(lambda: asyncio.to_thread(lambda: not any(isinstance(path, JobPath) for path in present.paths())), 60)
    assert await process.terminate() == 0
    assert {path: target.entry(path) for path in entries} == entries


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"retention": "delete"}, "needs retention_days"),
        ({"retention": "move", "retention_days": 3}, "needs retention_target"),
        ({"retention": "move", "retention_days": 0, "retention_target": "x"}, "greater than 0"),
        ({"path": "x", "retention": "copy", "retention_days": 3, "retention_target": "x"}, "is the archive itself"),
        ({"retention": "move", "retention_days": 3, "retention_target": "x", "retention_database": True}, "retention = delete"),
    ],
)
def test_an_incomplete_retention_is_refused(values: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        load(ArchiveSettings, **values)
