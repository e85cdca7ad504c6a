"""A backup as docs/operations.md describes it: database, log and archive, taken in this order while jobs go on, come back consistent."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from shared.archive.files import FileStore
from shared.archive.layout import JobPath
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess
from tests.support.builders import START_TIME, start_line, stop_line
from tests.support.waiting import until_blocking


def run_jobs(site: UpProcess, first: int, count: int) -> None:
    """Jobs that end, and one that goes on."""
    numbers = range(first, first + count)
    site.publish(
        b"".join(start_line(number, "fritz") + stop_line(number, "fritz") for number in numbers) + start_line(first + count, "fritz")
    )


def states(site: UpProcess) -> dict[int, str]:
    return {job["jobId"]: job["jobState"] for job in site.jobs("?items-per-page=500")}


def archived(site: UpProcess) -> int:
    return sum(1 for path in FileStore(site.data / "archive").paths() if isinstance(path, JobPath))


@pytest.mark.timeout(240)
def test_a_site_comes_back_from_parts_of_different_age(new_up: Up, tmp_path: Path) -> None:
    site, backup = new_up().start(), tmp_path / "backup"
    site.add_fritz()
    site.run("user", "add", "erika", "--role", "admin", "--password-stdin", text=b"a password of erika\n")
    run_jobs(site, 100, 10)
    until_blocking(lambda: archived(site) == 10, 40)
    backup.mkdir()
    with sqlite3.connect(site.data / "jobtide.db") as source, sqlite3.connect(backup / "jobtide.db") as target:
        source.backup(target)  # while it is written
    run_jobs(site, 200, 10)
    until_blocking(lambda: archived(site) == 20, 40)
    site.publish(stop_line(110, "fritz"))
    until_blocking(lambda: states(site)[110] == "completed", 40)
    expected = states(site)
    site.interrupt()  # the broker is stopped while its files are copied
    shutil.copytree(site.data / "nats", backup / "nats")
    site.start()
    run_jobs(site, 300, 10)
    until_blocking(lambda: archived(site) >= 31, 40)
    shutil.copytree(site.data / "archive", backup / "archive")
    for name in ("keys.json", "nats-users.json"):
        shutil.copy(site.data / name, backup / name)
    site.interrupt()

    restored = new_up(name="restored")
    shutil.copytree(backup, restored.data)
    restored.start()
    until_blocking(lambda: states(restored) == expected, 60)
    assert "erika" in restored.run("user", "list").stdout
    assert "complete and valid" in restored.run("archive", "verify").stdout
    later = FileStore(restored.data / "archive")
    assert later.is_complete(JobPath("fritz", 305, START_TIME)), "its events are newer than the log"
    assert restored.run("import", restored.data / "archive").stdout.startswith("imported 10 jobs, 21 were already known")
    assert states(restored).keys() == expected.keys() | set(range(300, 310))
    run_jobs(restored, 400, 1)
    until_blocking(lambda: states(restored).get(400) == "completed", 40)
    restored.run("rebuild")
    assert {400, 401} <= states(restored).keys()
