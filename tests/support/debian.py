"""Programs of Debian packages. Where one is not installed, its package is unpacked, without root, into a folder of the test environment.

``python -m tests.support.debian`` unpacks all of them ahead of the tests, which have time limits, and provides the browser.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.chromium import chromium
from tests.support.programs import MissingPart

_APT_S = 120
_LEVELS = 5  # depth of dependencies between libraries
_NOT_NEEDED = re.compile(r"libc6|libperl|libodbc|libgcc|libc-bin")  # present everywhere, or for modules that are not loaded


@dataclass(frozen=True, slots=True)
class Package:
    """``program`` is the path inside the package. A variable JOBTIDE_TEST_<PROGRAM> names an installed one."""

    name: str
    program: str

    @property
    def variable(self) -> str:
        return f"JOBTIDE_TEST_{Path(self.program).name.upper()}"

    @property
    def hint(self) -> str:
        return f"{Path(self.program).name} is missing: apt-get install {self.name}, or set {self.variable} to the program"


SLAPD = Package("slapd", "usr/sbin/slapd")
PROMETHEUS = Package("prometheus", "usr/bin/prometheus")
INFLUXD = Package("influxdb", "usr/bin/influxd")
SYSTEMD = Package("systemd", "usr/bin/systemd-analyze")
MARIADB = Package("mariadb-server-core", "usr/sbin/mariadbd")
ALL = (SLAPD, PROMETHEUS, INFLUXD, SYSTEMD, MARIADB)
_missed: dict[Package, str] = {}


@dataclass(frozen=True, slots=True)
class Installation:
    """``root`` is where the package was unpacked; None when it is installed."""

    program: Path
    root: Path | None

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) if self.root is None else os.environ | {"LD_LIBRARY_PATH": _library_path(self.root)}


def installed(package: Package) -> Installation:
    """Raises MissingPart with one line, the same one each time: apt is not asked again by each test."""
    if package in _missed:
        raise MissingPart(_missed[package])
    try:
        return _find(package)
    except MissingPart as e:
        _missed[package] = str(e)
        raise


def _find(package: Package) -> Installation:
    if (named := os.environ.get(package.variable)) and not Path(named).exists():
        raise MissingPart(f"{package.hint}, not to {named}")
    name = Path(package.program).name
    given = named or shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if given:
        return Installation(Path(given), None)
    cache = _cache(package)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # concurrent test processes wait until it is unpacked
        root = cache / "root"
        if not (root / package.program).exists():
            _unpack(package, cache, root)
    return Installation(root / package.program, root)


def _cache(package: Package) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jobtide"
    return (Path(sys.prefix) if sys.prefix != sys.base_prefix else home) / f"{package.name}-{platform.machine()}"


def _unpack(package: Package, cache: Path, root: Path) -> None:
    """The package and, level by level, the libraries below it, until none is missing."""
    if not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg", "ldd"))):
        raise MissingPart(package.hint)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        tree = Path(folder) / "root"
        try:
            _fetch(package, [package.name], Path(folder), tree)
        except MissingPart:
            if os.geteuid() != 0:
                raise
            _apt(package, "apt-get", "-qq", "update")  # package lists may be missing or outdated
            _fetch(package, [package.name], Path(folder), tree)
        have, level = {package.name}, [package.name]
        for _ in range(_LEVELS):
            if not _missing(package, tree):
                break
            level = sorted({name for one in level for name in _libraries_of(package, one)} - have)
            have.update(level)
            _fetch(package, level, Path(folder), tree)
        if missing := _missing(package, tree):
            raise MissingPart(f"{package.hint}; unpacked, it lacks {', '.join(missing)}")
        tree.rename(root)


def _fetch(package: Package, names: list[str], folder: Path, tree: Path) -> None:
    if not names:
        return
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        _apt(package, "apt-get", "-qq", "download", *names, folder=Path(downloads))
        for file in Path(downloads).glob("*.deb"):
            _apt(package, "dpkg", "-x", str(file), str(tree))


def _libraries_of(package: Package, name: str) -> set[str]:
    quiet = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances", "pre-depends")]
    lines = _apt(package, "apt-cache", "depends", *quiet, name).splitlines()
    names = {line.split(":", 1)[1].strip() for line in lines if line.strip(" |").startswith("Depends:")}
    return {name for name in names if re.match(r"lib[\w.+-]+$", name) and not _NOT_NEEDED.match(name)}


def _missing(package: Package, tree: Path) -> list[str]:
    found = subprocess.run(
        ["ldd", str(tree / package.program)],
        env=os.environ | {"LD_LIBRARY_PATH": _library_path(tree)},
        capture_output=True,
        text=True,
        timeout=_APT_S,
        check=False,
    )
    return sorted({line.split()[0] for line in found.stdout.splitlines() if "not found" in line})


def _library_path(root: Path) -> str:
    folders = [folder for top in ("usr/lib", "lib") for folder in (root / top).glob("*-linux-gnu*")]
    return ":".join(map(str, [*folders, root / "usr/lib"]))


def _apt(package: Package, *command: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_APT_S, check=True, env=os.environ | {"LC_ALL": "C"}
        )
    except (subprocess.SubprocessError, OSError) as e:
        lines = (getattr(e, "stderr", None) or str(e)).strip().splitlines()
        raise MissingPart(f"{package.hint} ({command[0]}: {lines[-1] if lines else 'failed'})") from e
    return done.stdout


if __name__ == "__main__":
    for wanted in ALL:
        try:
            print(installed(wanted).program)
        except MissingPart as missing:
            print(missing, file=sys.stderr)
    try:
        print(chromium())
    except MissingPart as missing:
        print(missing, file=sys.stderr)
