"""The backup of docs/operations.md, by its own commands: database, log and archive of different age come back consistent."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from shared.archive.files import FileStore
from shared.archive.layout import JobPath
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, jobtide
from tests.support.builders import START_TIME, start_line, stop_line
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

STEPS = {"# stop the site", "# start the site", "# start the restored site"}


def guide() -> list[str]:
    """The lines of the blocks of the page that are about an embedded site."""
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    section = page.partition("\n## Backup\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line for block in blocks if "/srv/" in block for line in block.splitlines()]


def execute(command: str) -> None:
    """The program sqlite3 is not part of every machine; Python makes the same copy."""
    words = shlex.split(command)
    if words[0] == "sqlite3" and shutil.which("sqlite3") is None:
        with sqlite3.connect(words[1]) as source, sqlite3.connect(words[2].removeprefix(".backup ")) as target:
            source.backup(target)
    elif words[0] == "jobtide":
        done = jobtide(*words[1:])
        assert done.returncode == 0, done
    else:
        subprocess.run(words, check=True, timeout=60)


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
    """Jobs run before the backup, and between its steps."""
    lines = guide()
    assert set(lines) >= STEPS
    site, restored, backup = new_up().start(), new_up(name="restored"), tmp_path / "backup"
    places = {"/srv/jobtide": site.data, "/srv/restored": restored.data, "/backup": backup}
    backup.mkdir()
    site.add_fritz()
    site.run("user", "add", "erika", "--role", "admin", "--password-stdin", text=b"a password of erika\n")
    run_jobs(site, 100, 10)
    until_blocking(lambda: archived(site) == 10, 40)
    expected: dict[int, str] = {}
    for line in lines:
        match line:
            case "# stop the site":
                run_jobs(site, 200, 10)
                until_blocking(lambda: archived(site) == 20, 40)
                site.publish(stop_line(110, "fritz"))
                until_blocking(lambda: states(site)[110] == "completed", 40)
                expected = states(site)
                site.interrupt()
            case "# start the site":
                site.start()
                run_jobs(site, 300, 10)
                until_blocking(lambda: archived(site) >= 31, 40)
            case "# start the restored site":
                site.interrupt()
                restored.start()
                until_blocking(lambda: states(restored) == expected, 60)  # noqa: B023 - called at once
                assert "erika" in restored.run("user", "list").stdout
                later = FileStore(restored.data / "archive")
                assert later.is_complete(JobPath("fritz", 305, START_TIME)), "its events are newer than the log"
            case command:
                execute(re.sub("|".join(places), lambda found: str(places[found[0]]), command))
    assert states(restored).keys() == expected.keys() | set(range(300, 310))
    assert restored.run("import", restored.data / "archive").stdout.startswith("imported 0 jobs, 31 were already known")
    run_jobs(restored, 400, 1)
    until_blocking(lambda: states(restored).get(400) == "completed", 40)
    restored.run("rebuild")
    assert {400, 401} <= states(restored).keys()
