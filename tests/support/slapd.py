"""A real slapd. Where none is installed, the Debian package is unpacked, without root, into a folder of the test environment.

``python -m tests.support.slapd`` does the unpacking ahead of the tests, which have time limits.
"""

import fcntl
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import MissingPart, accepts, end, free_port
from tests.support.waiting import until_blocking

HINT = "slapd is missing: apt-get install slapd, or set JOBTIDE_TEST_SLAPD to the program"
BASE = "dc=site,dc=example"
ADMIN_DN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "directory secret"
READER_DN, READER_PASSWORD = f"cn=reader,{BASE}", "reader's secret"  # sees no more than LIMIT entries in one search
LIMIT = 20

_APT_S = 120
_LEVELS = 5  # of libraries that need libraries
_NOT_NEEDED = re.compile(r"libc6|libperl|libodbc|libgcc|libc-bin")  # always there, or for modules that are not loaded


@dataclass(frozen=True, slots=True)
class Programs:
    """``root`` is where the package was unpacked; None when it is installed."""

    slapd: Path
    root: Path | None

    @property
    def modules(self) -> Path:
        return (self.root or Path("/")) / "usr/lib/ldap"

    @property
    def schema(self) -> Path:
        inside = (self.root or Path("/")) / "etc/ldap/schema"
        return inside if inside.exists() else Path("/etc/openldap/schema")

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) if self.root is None else os.environ | {"LD_LIBRARY_PATH": _library_path(self.root)}


def programs() -> Programs:
    """Raises MissingPart with one line."""
    given = os.environ.get("JOBTIDE_TEST_SLAPD") or shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if given:
        return Programs(Path(given), None)
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes beside this one wait until it is unpacked
        root = cache / "root"
        if not (root / "usr/sbin/slapd").exists():
            _unpack(cache, root)
    return Programs(root / "usr/sbin/slapd", root)


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jobtide"
    return (Path(sys.prefix) if sys.prefix != sys.base_prefix else home) / f"slapd-{platform.machine()}"


def _unpack(cache: Path, root: Path) -> None:
    """``slapd`` and, level by level, the libraries below it, until none is missing."""
    if not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg", "ldd"))):
        raise MissingPart(HINT)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        tree = Path(folder) / "root"
        try:
            _fetch(["slapd"], Path(folder), tree)
        except MissingPart:
            if os.geteuid() != 0:
                raise
            _apt("apt-get", "-qq", "update")  # package lists that are old or were never read
            _fetch(["slapd"], Path(folder), tree)
        have, level = {"slapd"}, ["slapd"]
        for _ in range(_LEVELS):
            if not _missing(tree):
                tree.rename(root)
                return
            level = sorted({name for package in level for name in _libraries_of(package)} - have)
            have.update(level)
            _fetch(level, Path(folder), tree)
        if missing := _missing(tree):
            raise MissingPart(f"{HINT}; unpacked, it lacks {', '.join(missing)}")
        tree.rename(root)


def _fetch(packages: list[str], folder: Path, tree: Path) -> None:
    if not packages:
        return
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        _apt("apt-get", "-qq", "download", *packages, folder=Path(downloads))
        for package in Path(downloads).glob("*.deb"):
            _apt("dpkg", "-x", str(package), str(tree))


def _libraries_of(package: str) -> set[str]:
    quiet = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances", "pre-depends")]
    lines = _apt("apt-cache", "depends", *quiet, package).splitlines()
    names = {line.split(":", 1)[1].strip() for line in lines if line.strip(" |").startswith("Depends:")}
    return {name for name in names if re.match(r"lib[\w.+-]+$", name) and not _NOT_NEEDED.match(name)}


def _missing(tree: Path) -> list[str]:
    found = subprocess.run(
        ["ldd", str(tree / "usr/sbin/slapd")],
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


def _apt(*command: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_APT_S, check=True, env=os.environ | {"LC_ALL": "C"}
        )
    except (subprocess.SubprocessError, OSError) as e:
        said = (getattr(e, "stderr", None) or str(e)).strip().splitlines()
        raise MissingPart(f"{HINT} ({command[0]}: {said[-1] if said else 'failed'})") from e
    return done.stdout


_CONFIG = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/nis.schema
include {schema}/inetorgperson.schema
pidfile {folder}/slapd.pid
{modules}
{tls}
database mdb
maxsize 67108864
dbnosync
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory {folder}/data
index objectClass,uid eq
limits dn.exact="{reader}" size.soft={limit} size.hard={limit} size.prtotal={limit}
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM."""

    certificate: Path
    key: Path


class Slapd:
    """A directory with no people in it, on a free port. It keeps port and data over ``stop`` and ``start``."""

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        self._folder = folder
        self._programs = programs()
        self._port = free_port()
        self._tls_port = free_port() if tls else 0
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()
        modules = self._programs.modules
        (folder / "slapd.conf").write_text(
            _CONFIG.format(
                schema=self._programs.schema,
                folder=folder,
                modules=f"modulepath {modules}\nmoduleload back_mdb" if modules.exists() else "",
                tls=f"TLSCertificateFile {tls.certificate}\nTLSCertificateKeyFile {tls.key}" if tls else "",
                base=BASE,
                admin=ADMIN_DN,
                password=ADMIN_PASSWORD,
                reader=READER_DN,
                limit=LIMIT,
            )
        )

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self._port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://localhost:{self._tls_port}"

    def start(self) -> None:
        assert self._process is None
        urls = f"{self.url}/" + (f" ldaps://127.0.0.1:{self._tls_port}/" if self._tls_port else "")
        command = [str(self._programs.slapd), "-f", str(self._folder / "slapd.conf"), "-h", urls, "-d", "0"]
        with (self._folder / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._programs.environment)
        until_blocking(self._is_up, 15, f"slapd up, see {self._folder}/slapd.log")

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGTERM)
            self._process = None

    def kill(self) -> None:
        """At once: it would wait for its clients."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def pause(self) -> None:
        """It accepts connections, but answers nothing, until ``go_on``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "slapd.log").read_text(errors="replace")[-500:]
        return accepts(self._port)


@contextmanager
def directory_server(folder: Path, tls: Tls | None = None) -> Iterator[Slapd]:
    server = Slapd(folder, tls)
    server.start()
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    try:
        print(programs().slapd)
    except MissingPart as e:
        print(e, file=sys.stderr)
        sys.exit(1)
