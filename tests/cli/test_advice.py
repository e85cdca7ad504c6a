"""`jobtide advice` on a running site."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.sites import UpProcess, assert_user_mistake, jobtide
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

ARCHIVE = REPOSITORY / "tests" / "data" / "archive-v1.5"
RULE = """
tag = "everyone"
title = "Holds for every job with a load"
metrics = ["cpu_load"]
when = "cpu_load.avg >= 0"
text = "The load is {cpu_load.avg}."
action = "Nothing."
"""


@pytest.mark.timeout(300)  # seven commands, each of which starts Python
def test_rules_are_applied_to_existing_jobs_and_explained(shared_up: UpProcess, tmp_path: Path) -> None:
    shared_up.run("import", ARCHIVE)
    (tmp_path / "everyone.toml").write_text(RULE)

    def imported() -> list[dict[str, Any]]:
        return [job for job in shared_up.jobs() if job["monitoringStatus"] == 3]

    until_blocking(imported)
    assert re.search(r"advice would change for [1-9]", shared_up.run("advice", "apply", "--rules", tmp_path, "--dry-run").stdout)
    last = max(job["id"] for job in imported())
    assert shared_up.run("advice", "apply", "--rules", tmp_path, "--dry-run", "--after", str(last)).stdout.startswith("0 jobs")
    assert re.search(r"advice changed for [1-9]", shared_up.run("advice", "apply", "--rules", tmp_path).stdout)

    def advised() -> list[dict[str, Any]]:
        return [job for job in imported() if any(one["rule"] == "everyone" for one in job.get("advice", []))]

    job = until_blocking(advised)[0]
    assert ("jobClass", "everyone", "global") in {(tag["type"], tag["name"], tag["scope"]) for tag in job["tags"]}
    (advice,) = [one for one in job["advice"] if one["rule"] == "everyone"]
    assert re.fullmatch(r"The load is [\d.,]+\.", advice["text"])
    explained = shared_up.run("advice", "test", tmp_path / "everyone.toml", str(job["id"])).stdout
    assert "cpu_load.avg >= 0" in explained
    assert "everyone holds (info)" in explained


def test_all_rules_are_listed_and_a_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    listed = jobtide("advice", "rules")
    assert re.search(r"^outofmemory +critical +Out of memory$", listed.stdout, re.MULTILINE)
    assert "ignored" not in listed.stdout
    (tmp_path / "gpuidle").write_text("{}")
    (tmp_path / "bad.toml").write_text('tag = "bad"\ntitle = "t"\nwhen = "1 <"\ntext = ""\n')
    done = jobtide("advice", "rules", "--rules", str(tmp_path))
    assert "gpuidle: not a rule, since its name does not end in .toml or .json" in done.stdout
    assert_user_mistake(done, "bad.toml: when: character 4")
