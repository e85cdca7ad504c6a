"""The unit tests of the web interface, which run without a browser."""

import subprocess
import sys

import pytest

from tests.support.processes import REPOSITORY


@pytest.mark.timeout(300)
def test_the_unit_tests_of_the_pages_pass() -> None:
    done = subprocess.run(
        [sys.executable, "web/pages.py", "test"], cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
