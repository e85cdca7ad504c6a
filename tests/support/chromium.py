"""The browser of the tests in ``tests/web``: an installed Chromium, else Debian's, installed where the run may do that."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.programs import MissingPart

VARIABLE = "JOBTIDE_TEST_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_HINT = f"chromium is missing: apt-get install chromium, or set {VARIABLE} to the program of a browser"
_APT_S = 500


def chromium() -> Path:
    """Raises MissingPart with one line."""
    found = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)
    if found:
        return Path(found)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MissingPart(_HINT)
    with (Path(tempfile.gettempdir()) / "jobtide-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes beside this one wait until it is installed
        if shutil.which("chromium") is None:
            _apt("-qq", "update")
            _apt("-qq", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core")
    return Path(shutil.which("chromium") or "")


def _apt(*arguments: str) -> None:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(["apt-get", *arguments], capture_output=True, text=True, timeout=_APT_S, check=True, env=environment)
    except (subprocess.SubprocessError, OSError) as e:
        lines = (getattr(e, "stderr", None) or str(e)).strip().splitlines()
        raise MissingPart(f"{_HINT} ({lines[-1] if lines else 'apt-get failed'})") from e
