"""The commands of docs/moving.md, in their order, on a cc-backend that goes on running until the switch."""

import re
import shlex
from pathlib import Path

import pytest

from cli.keys import generate, sign_token
from shared.archive import JobPath
from shared.archive.files import FileStore
from tests.cli.sites import UpProcess, jobtide
from tests.support.builders import START_TIME, start_line, stop_line
from tests.support.cc_backend import FormerSite
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

PAGE = (REPOSITORY / "docs" / "moving.md").read_text()


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(240)
def test_the_afternoon_of_the_page_moves_a_site(tmp_path: Path) -> None:
    there = FormerSite(tmp_path / "there", config={"main": {"addr": "127.0.0.1:1"}, "auth": {"jwts": {"max-age": "24h"}}})
    there.cluster("fritz")
    first = there.job(1, monitoring_status=3)
    there.entry(first)
    running = there.job(2, job_state="running", monitoring_status=1)
    there.user("eva", "user")
    keys = generate()
    site = UpProcess(tmp_path / "here")
    variables = {"JOBTIDE_CONFIG": str(tmp_path / "jobtide.toml"), "JWT_PUBLIC_KEY": keys.public}
    later = JobPath("fritz", 3, START_TIME)
    runs, verified = 0, ""
    left: dict[Path, bytes] = {}
    try:
        for line in commands():
            command, _, target = line.partition(" > ")
            words = shlex.split(command.replace("/opt/cc-backend", str(there.folder)).replace("/srv/jobtide", str(site.data)))
            if words[0] == "export":
                assert words[1].startswith("JOBTIDE_CONFIG=")
                continue
            assert words[0] == "jobtide"
            if words[1] == "up":
                site.start(**variables)
                continue
            if words[1:3] == ["takeover", "run"] and "--dry-run" not in words:
                runs += 1
                if runs == 2:  # the switch: the last job ends, and cc-backend is stopped
                    there.change(running, job_state="completed", duration=60, monitoring_status=3)
                    there.entry(running)
                    there.stop()
                    left = contents(there.folder)
            if words[1:3] == ["archive", "copy"]:  # the way back
                assert verified == "everything is here"
                assert contents(there.folder) == left, "nothing was written to cc-backend"
                site.publish(start_line(3, "fritz"), stop_line(3, "fritz"))
                until_blocking(lambda: FileStore(site.data / "archive").is_complete(later), 60)
            done = jobtide(*words[1:]) if target else jobtide(*words[1:], **variables)  # type: ignore[arg-type]  # variables
            assert done.returncode == 0, done
            if target:
                (tmp_path / target).write_text(done.stdout)
            verified = done.stdout.splitlines()[-1] if words[1:3] == ["takeover", "verify"] else verified
        assert runs == 2
        assert done.stdout.startswith("1 job copied")
        back = contents(there.folder)
        assert back.items() >= left.items(), "what was there is unchanged"
        assert {path.name for path in back.keys() - left.keys()} <= {"meta.json", "data.json", "data.json.gz", "thumbnail.json.gz"}
        assert FileStore(there.archive).entry(later) == FileStore(site.data / "archive").entry(later)
        assert jobtide("archive", "verify", there.archive).returncode == 0
        for id_, job_id in ((first, 1), (running, 2)):
            status, found = site.get(f"/api/jobs/{id_}", token=sign_token(keys.private, "feeder", ["api"], 3600))
            assert (status, found["Meta"]["jobId"], found["Meta"]["jobState"]) == (200, job_id, "completed")
    finally:
        site.end()
        there.stop()


def test_every_command_that_the_page_mentions_exists() -> None:
    mentioned = set(re.findall(r"jobtide (archive [a-z]+|takeover [a-z]+|cluster [a-z]+|status|up)", PAGE))
    assert len(mentioned) > 6
    for command in mentioned:
        assert jobtide(*command.split(), "--help").returncode == 0, command
