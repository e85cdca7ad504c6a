"""Retention as a setting of the archiver, between all kinds of places: what it moved or copied is read through the gateway as before."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from shared.archive import ArchiveStore, JobPath
from shared.archive.files import FileStore
from shared.archive.places import present_store, retention_store
from shared.archive.selection import Selection
from shared.archive.store import Stray
from shared.archive.transfer import transfer
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings, load
from tests.gateway.recorded import ARCHIVE, IMPORTED, import_sample_jobs
from tests.gateway.stack import Client, archiver, gateway, jobstore
from tests.support.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFs
from tests.support.waiting import until

QUESTIONS = ("/api/jobs/1?all-metrics=true", "/api/jobs/2?all-metrics=true", "/api/jobs/")


def settings_of(server: SeaweedFs, tmp_path: Path, policy: str, present: str, target: str) -> ArchiveSettings:
    """The archive and the place of old entries, each a folder, a file or part of a bucket."""

    def address(kind: str, name: str) -> str:
        addresses = {
            "folder": f"{tmp_path / name}",
            "sqlite": f"sqlite:///{tmp_path / name}.db",
            "s3": f"s3://archive/{tmp_path.name}/{name}",
        }
        return addresses[kind]

    access: dict[str, Any] = {"s3_endpoint": server.endpoint, "s3_access_key": ACCESS_KEY, "s3_secret_key": SECRET_KEY}
    place = (
        {"path": address(present, "present")} if present == "folder" else {"path": tmp_path / "none", "url": address(present, "present")}
    )
    moved = {} if policy == "delete" else {"retention_target": address(target, "old")}
    return load(ArchiveSettings, retention=policy, retention_days=1, **place, **moved, **access)


def archived(store: ArchiveStore | None) -> set[object]:
    """Complete entries; what was begun is counted as if it were another one."""
    return set() if store is None else {path if is_complete(store, path) else ("incomplete", path) for path in store.paths()}


def is_complete(store: ArchiveStore, path: JobPath | Stray) -> bool:
    return isinstance(path, JobPath) and store.is_complete(path)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("policy", "present", "target"),
    [
        ("none", "s3", "folder"),
        ("move", "folder", "s3"),
        ("move", "s3", "sqlite"),
        ("move", "sqlite", "folder"),
        ("copy", "folder", "sqlite"),
        ("copy", "sqlite", "s3"),
        ("delete", "s3", ""),
        ("delete", "sqlite", ""),
    ],
)
async def test_old_entries_go_where_the_settings_say_and_the_gateway_finds_them(
    policy: str, present: str, target: str, site: NatsSettings, sqlite_database: DatabaseSettings, seaweedfs: SeaweedFs, tmp_path: Path
) -> None:
    settings = settings_of(seaweedfs, tmp_path, policy, present, target)
    sample = ArchiveSettings(path=tmp_path / "sample")
    await import_sample_jobs(site, sample)
    place, old = present_store(settings), retention_store(settings)
    assert transfer(FileStore(ARCHIVE), place, Selection()).done == 2
    if old is not None:
        old.open()
    everything, here, there = set(IMPORTED), archived(place), archived(old)
    assert (here, there) == (everything, set())
    expected_here = set() if policy in ("move", "delete") else everything
    expected_there = everything if policy in ("move", "copy") else set()

    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, sample) as client:
        await until(lambda: lists_both(client))
        before = [await client.get(question) for question in QUESTIONS]
    shutil.rmtree(sample.path)

    def is_done() -> bool:
        return (archived(place), archived(old)) == (expected_here, expected_there)

    async with archiver(site, sqlite_database, settings, MetricsSettings(kind="none"), advice=False):
        await until(lambda: asyncio.to_thread(is_done), 60)
    async with gateway(site, sqlite_database, settings) as client:
        after = [await client.get(question) for question in QUESTIONS]
    if policy == "delete":
        assert [status for status, _ in after] == [500, 500, 200], "the jobs stay, without time series"
        assert [job["id"] for job in after[-1][1]["jobs"]] == [job["id"] for job in before[-1][1]["jobs"]]
    else:
        assert [status for status, _ in after] == [200] * 3
        assert after == before


async def lists_both(client: Client) -> bool:
    return len((await client.get("/api/jobs/"))[1]["jobs"]) == 2
