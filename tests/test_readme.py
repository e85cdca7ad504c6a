"""The commands in the README work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.sites import UpProcess, clean_environment
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

README = (REPOSITORY / "README.md").read_text()


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_the_readme_is_short_and_its_links_resolve() -> None:
    assert len(README.splitlines()) < 200
    missing = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http") and not (REPOSITORY / link).exists()]
    assert missing == []


@pytest.mark.timeout(300)
def test_the_first_steps_work_as_typed(tmp_path: Path) -> None:
    """With free ports and a temporary folder instead of 8080 and var/site."""
    (typed,) = [block for block in shell_blocks() if "jobtide publish" in block]
    (started,) = [block for block in shell_blocks() if "jobtide up" in block]
    assert "jobtide up --data var/site" in started
    site = UpProcess(tmp_path / "site").start()
    try:
        script = typed.replace("var/site", str(site.data)).replace("http://127.0.0.1:8080", site.run_json["http"])
        script = script.replace(". .venv/bin/activate\n", f'jobtide() {{ "{sys.executable}" -m cli.main "$@"; }}\n')
        environment = clean_environment(PYTHONPATH=str(REPOSITORY))

        def answer() -> str:
            done = subprocess.run(
                ["bash", "-ec", script], capture_output=True, text=True, timeout=240, cwd=REPOSITORY, env=environment, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout if '"jobId":50001' in done.stdout else ""

        output = until_blocking(answer, 60, "the job that ended is in the list")
        assert '"jobState":"completed"' in output
    finally:
        site.end()
