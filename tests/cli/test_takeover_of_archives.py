"""Databases and archives of every version that cc-backend had, in every place for an archive, each taken over from end to end."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.archive import ArchiveStore, JobPath
from shared.archive.files import FileStore
from shared.archive.objects import ObjectStore, S3Access
from shared.archive.sqlite import SqliteStore
from shared.archive.store import Stray
from tests.cli.sites import UpProcess, jobtide
from tests.support.builders import START_TIME
from tests.support.cc_backend import FormerSite
from tests.support.seaweedfs import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.timeout(180)

DATA = {
    "cpu_load": {
        "node": {
            "unit": {"base": ""},
            "timestep": 60,
            "series": [{"hostname": "f0101", "statistics": {"min": 1.0, "avg": 1.5, "max": 2.0}, "data": [1.0, 2.0, None]}],
        }
    }
}
OLD = [(8, 1), (8, 2)]  # schema of the database, version of the archive
CASES = [("folder", *versions) for versions in (*OLD, (9, 3), (10, 3))] + [
    (place, *versions) for place in ("sqlite", "s3") for versions in (*OLD, (10, 3))
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    site = UpProcess(tmp_path_factory.mktemp("here") / "data")
    try:
        yield site.start()
    finally:
        site.end()


def place_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest, bucket: str) -> tuple[ArchiveStore, dict[str, Any]]:
    """An empty place beside a cc-backend, and the section of its configuration."""
    if kind == "sqlite":
        return SqliteStore(tmp_path / "there" / "archive.db"), {"kind": "sqlite", "db-path": "archive.db"}
    server = request.getfixturevalue("seaweedfs")
    server.create_bucket(bucket)
    section = {"kind": "s3", "endpoint": server.endpoint, "bucket": bucket, "use-path-style": True}
    access = S3Access(server.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    return ObjectStore(bucket, "", access), section | {"access-key": ACCESS_KEY, "secret-key": SECRET_KEY}


def fill(place: ArchiveStore, folder: FileStore, version: int) -> None:
    """Bring the entries of a folder to another place, and the version that cc-backend had written there."""
    place.open()
    place.write_cluster("fritz", folder.cluster_text("fritz"))
    entries = [folder.entry(path) for path in folder.paths() if not isinstance(path, Stray)]
    assert place.write(entries) == [None] * len(entries)
    place.close()
    if isinstance(place, SqliteStore):
        with sqlite3.connect(place.file) as connection:
            connection.execute("UPDATE metadata SET value = ? WHERE key = 'version'", (str(version),))
    elif isinstance(place, ObjectStore):
        place._put("version.txt", f"{version}\n".encode())


@pytest.mark.parametrize(("kind", "schema", "version"), CASES)
def test_jobs_and_entries_are_taken_over(
    kind: str, schema: int, version: int, here: UpProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    number = 1000 + 10 * CASES.index((kind, schema, version))
    there = FormerSite(tmp_path / "there", schema)
    there.cluster("fritz")
    ended = there.job(number, shared="single_user", monitoring_status=3, footprint={"cpu_load_avg": 1.5}, energy=2.5)
    there.entry(ended, DATA, statistics={"cpu_load": {"unit": {"base": ""}, "avg": 1.5, "min": 1, "max": 2}})
    there.job(number + 1, shared="multi_user", job_state="running", monitoring_status=1)
    there.tag("place", f"{kind}-{schema}-{version}", ended)
    there.user(f"user{number}", "user")
    (there.archive / "version.txt").write_text(f"{version}\n")
    address, access = str(there.archive), {}
    if kind != "folder":
        place, section = place_of(kind, tmp_path, request, f"case-{number}")
        fill(place, FileStore(there.archive), version)
        shutil.rmtree(there.archive)
        there.configure(archive=section)
        address = place.address
        if "endpoint" in section:
            names = {"S3_ENDPOINT": "endpoint", "S3_ACCESS_KEY": "access-key", "S3_SECRET_KEY": "secret-key"}
            access = {f"JOBTIDE_ARCHIVE_{name}": section[key] for name, key in names.items()}

    def command(*words: str | Path) -> str:
        done = jobtide(*words, "--data", here.data)
        assert done.returncode == 0, done
        return done.stdout

    text = command("takeover", "run", there.folder)
    assert "jobs      2 new" in text
    assert "no cluster.json" not in text
    if version == 3:
        assert "archive   1 entries copied, 0 are missing" in text
    else:
        assert "archive   no entries copied: " in text
        assert "jobtide archive convert" in text
        converted = jobtide("archive", "convert", here.data / "archive", "--from", address, **access)
        assert converted.stdout.startswith("1 job converted"), converted
    text = command("takeover", "verify", there.folder)
    assert "jobs: 2 equal, 0 missing, 0 different" in text
    assert "archive: 1 entries, 1 of them read" in text
    there.stop()
    store, path = FileStore(here.data / "archive"), JobPath("fritz", number, START_TIME)
    assert store.document(path)["shared"] == "single_user"
    assert store.job_data(path)["cpu_load"]["node"].series[0].hostname == "f0101"
    job = next(job for job in here.jobs("?items-per-page=500") if job["jobId"] == number)
    assert (job["shared"], job["statistics"]["cpu_load"]["max"]) == ("single_user", 2)
