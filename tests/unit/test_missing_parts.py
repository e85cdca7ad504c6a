"""Where a package of Debian cannot be had, the test run says so once for each program instead of failing dozens of tests."""

import os
import re
import subprocess
import sys

from tests.support.debian import MARIADB
from tests.support.processes import REPOSITORY


def test_one_test_fails_with_one_line_and_the_others_are_skipped() -> None:
    of_this_run = {name for name in os.environ if name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "tests/unit/test_mariadb_schema.py"],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in of_this_run} | {MARIADB.variable: "/nowhere/mariadbd"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    said = done.stdout
    assert done.returncode == 1, said
    assert re.search(r"=+ [1-9]\d* skipped, 1 error in ", said)
    assert f"{MARIADB.hint}, not to /nowhere/mariadbd" in said.splitlines()
    assert "Traceback" not in said
