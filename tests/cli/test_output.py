"""Output survives every encoding of a terminal, a pipe or a locale."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.sites import UpProcess, clean_environment, jobtide
from tests.support.builders import start_line
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

ENCODINGS = [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "utf-8:strict"}, {"LC_ALL": "POSIX"}]
REFUSED = 'job,function=start_job event="{\\"jobId\\": 7, \\"cluster\\": \\"Zürich-\N{SNOWMAN}-\N{GRINNING FACE}\\"}"\n'.encode()


@pytest.mark.parametrize("variables", ENCODINGS, ids=lambda variables: "=".join(*variables.items()))
@pytest.mark.parametrize("command", [["rejections"], ["status"], ["cluster", "list"], ["user", "list"], ["publish", "-"]], ids=" ".join)
def test_a_command_on_a_site_replaces_what_cannot_be_printed(shared_up: UpProcess, command: list[str], variables: dict[str, Any]) -> None:
    shared_up.run("publish", "-", text=REFUSED)
    until_blocking(lambda: "rich-" in shared_up.run("rejections").stdout)
    done = jobtide(*command, "--data", shared_up.data, text=start_line(901, "fritz"), **variables)
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("variables", ENCODINGS, ids=lambda variables: "=".join(*variables.items()))
@pytest.mark.parametrize("command", [["settings"], ["settings", "--markdown"], ["--help"], ["up", "--help"]], ids=" ".join)
def test_a_command_without_a_site_replaces_what_cannot_be_printed(command: list[str], variables: dict[str, Any]) -> None:
    done = jobtide(*command, **variables)
    assert done.returncode == 0, done


@pytest.mark.parametrize("variables", ENCODINGS, ids=lambda variables: "=".join(*variables.items()))
def test_an_error_about_a_path_of_any_bytes_is_one_line(tmp_path: Path, variables: dict[str, Any]) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xe2\x98\x83"
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "publish", path],
        capture_output=True,
        timeout=40,
        cwd=REPOSITORY,
        env=clean_environment(**variables),
        check=False,
    )
    assert done.returncode == 2, done
    assert done.stderr.startswith(b"jobtide: cannot read ")
    assert done.stderr.count(b"\n") == 1
