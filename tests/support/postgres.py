"""A real PostgreSQL server, configured for speed instead of durability."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.programs import UNPRIVILEGED, accepts, end, free_port, postgres_folder
from tests.support.waiting import until_blocking

_ADDRESS_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "log_min_messages": "warning",
}
_FAST_OPTIONS = {
    "shared_buffers": "64MB",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10s",
}


class PostgresServer:
    """The server of the wheel in its own folder. Its port and data survive ``stop`` and ``start``.

    PostgreSQL refuses to run as root: then it runs as the user ``nobody``, who must own the folder and be able to
    read the programs; if the wheel is in a private folder, they are copied. ``options`` of the server replace
    those that make it fast.
    """

    def __init__(self, options: Mapping[str, str] = _FAST_OPTIONS) -> None:
        self._options = _ADDRESS_OPTIONS | dict(options)
        self._folder = Path(tempfile.mkdtemp(prefix="jobtide-postgres-"))
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._user: tuple[int, int] | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam(UNPRIVILEGED)
            self._user = (account.pw_uid, account.pw_gid)
            os.chown(self._folder, *self._user)
        self._programs = self._reachable_programs()
        self._run("initdb", "-D", str(self._data), "-U", "jobtide", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    @property
    def url(self) -> str:
        """The URL of the maintenance database; URLs of other databases differ in the last part."""
        return f"postgresql://jobtide@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        assert self._process is None
        self._port = self._port or free_port()
        options = [part for name, value in (self._options | {"port": str(self._port)}).items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", str(self._data), *options], stdout=log, stderr=log, cwd="/", **self._as_user()
            )
        until_blocking(self._is_up, 30, f"PostgreSQL up, see {self._folder}/postgres.log")

    def stop(self) -> None:
        """Immediate shutdown: connections are closed, and the next start recovers."""
        if self._process is not None:
            end(self._process, signal.SIGQUIT)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the server and to each process that serves a connection."""
        if self._process is not None:
            children = _children(self.pid)
            end(self._process, signal.SIGKILL)
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            # Shared memory prevents another server from starting until the last process has exited.
            until_blocking(lambda: not any(_is_alive(pid) for pid in children), 30, "PostgreSQL has ended")
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"PostgreSQL ended: {(self._folder / 'postgres.log').read_text()[-500:]}"
        ready = subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)], check=False, cwd="/", **self._as_user()
        )
        return ready.returncode == 0 and accepts(self._port)

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user[0], "group": self._user[1]}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._programs / program, *arguments], capture_output=True, check=False, cwd="/", **self._as_user())
        if done.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace').strip()[-300:]}")

    def _reachable_programs(self) -> Path:
        install = postgres_folder()
        try:
            subprocess.run([install / "bin" / "postgres", "--version"], capture_output=True, check=True, cwd="/", **self._as_user())
        except (PermissionError, subprocess.CalledProcessError):
            copy = self._folder / "pginstall"
            shutil.copytree(install, copy, symlinks=True)
            return copy / "bin"
        return install / "bin"


def _state_and_parent(pid: int) -> tuple[str, int]:
    """Raises OSError if the process has exited."""
    state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    return state, int(parent)


def _is_alive(pid: int) -> bool:
    try:
        return _state_and_parent(pid)[0] != "Z"
    except OSError:
        return False


def _children(of: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if _state_and_parent(int(folder.name))[1] == of:
                found.append(int(folder.name))
    return found


class RunningPostgres:
    """A server that was started elsewhere. The user in the URL must be allowed to create databases."""

    def __init__(self, url: str) -> None:
        self.url = url
