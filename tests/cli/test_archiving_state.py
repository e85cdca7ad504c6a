"""`jobtide status` names an archive or metric store that cannot be used."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from cli.commands.archiving_state import archiving_state
from shared.archive import open_archive
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings
from tests.support.disks import SmallDisk, small_disk
from tests.support.metric_store import MetricStore, serving

NO_STORE = MetricsSettings(kind="none")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mb=1) as found:
        yield found


async def test_free_space_of_the_archive_is_shown(tmp_path: Path) -> None:
    open_archive(tmp_path)
    ((name, state),) = await archiving_state(ArchiveSettings(path=tmp_path), NO_STORE)
    assert name == "archive"
    assert state.endswith(" GB free")


async def test_an_archive_that_is_not_mounted_is_unavailable(tmp_path: Path) -> None:
    ((_, state),) = await archiving_state(ArchiveSettings(path=tmp_path), NO_STORE)
    assert state.startswith("unavailable, jobs wait: ")
    assert "version.txt" in state


async def test_a_full_archive_is_named(disk: SmallDisk) -> None:
    if not disk.is_mount:
        return  # only root can mount a small file system
    open_archive(disk.folder)
    (disk.folder / "filler").write_bytes(b"x" * 988 * 1024)
    ((_, state),) = await archiving_state(ArchiveSettings(path=disk.folder), NO_STORE)
    assert state == "full, jobs wait"


async def test_each_metric_store_is_named_with_its_state(tmp_path: Path) -> None:
    open_archive(tmp_path)
    bad = MetricStore({})

    async def mood(_: object) -> web.StreamResponse:
        return web.Response(status=503, text="starting")

    bad.mood = mood
    async with serving(MetricStore({})) as good_url, serving(bad) as bad_url:
        metrics = MetricsSettings(kind="cc-metric-store", url=good_url, cluster_urls={"alex": bad_url}, timeout_s=5)
        _, good, failing = await archiving_state(ArchiveSettings(path=tmp_path), metrics)
    assert good == (f"metric store {good_url}", "available")
    assert failing[0] == f"metric store {bad_url}"
    assert failing[1].startswith("unavailable, jobs wait: ")
    assert "503: starting" in failing[1]


async def test_the_places_of_clusters_and_of_moved_entries_are_named(tmp_path: Path) -> None:
    open_archive(tmp_path / "common")
    settings = ArchiveSettings(
        path=tmp_path / "common", clusters={"alex": f"sqlite:///{tmp_path}/alex.db"}, retention_target=str(tmp_path / "old")
    )
    states = dict(await archiving_state(settings, NO_STORE))
    assert states[f"archive {tmp_path}/common"].endswith("GB free")
    assert states[f"archive sqlite:///{tmp_path}/alex.db"].startswith("unavailable, jobs wait: ")
    assert states["moved entries"].startswith("unavailable: ")
