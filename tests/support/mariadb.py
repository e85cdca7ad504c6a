"""A real MariaDB server, configured for speed instead of durability, and a fresh migrated database on it for each test."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncmy
from sqlalchemy.engine import make_url

from shared.database.migrate import migrate_blocking
from shared.database.tables import metadata
from shared.settings import DatabaseSettings
from tests.support.databases import settings_of
from tests.support.debian import MARIADB, installed
from tests.support.programs import accepts, end, free_port, run_blocking
from tests.support.waiting import until_blocking

_START_S = 120
USER, PASSWORD = "jobtide", "pass/word: %1"
_ADDRESS_OPTIONS = {"bind-address": "127.0.0.1", "skip-networking": "0", "max-connections": "200"}
_FAST_OPTIONS = {
    "skip-log-bin": "1",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-buffer-pool-size": "128M",
    "innodb-log-file-size": "64M",
}


class MariaDbServer:
    """A server in its own folder on a free port. Its port and data survive ``stop`` and ``start``.

    ``options`` of the server replace those that make it fast.
    """

    def __init__(self, options: Mapping[str, str] = _FAST_OPTIONS) -> None:
        """Raises MissingPart with one line."""
        self._options = _ADDRESS_OPTIONS | dict(options)
        self._program = installed(MARIADB)
        self._folder = Path(tempfile.mkdtemp(prefix="jobtide-mariadb-"))
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        for part in ("data", "tmp"):
            (self._folder / part).mkdir()
        share = self._share / "mysql_system_tables.sql"
        script = b"CREATE DATABASE mysql;\nUSE mysql;\n" + share.read_bytes() + (self._share / "mysql_system_tables_data.sql").read_bytes()
        script += f"\nFLUSH PRIVILEGES;\nCREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO '{USER}'@'%';\n".encode()
        done = subprocess.run(
            [*self._command, "--bootstrap"], input=script, capture_output=True, check=False, timeout=_START_S, env=self._program.environment
        )
        if done.returncode:
            self.remove()
            raise RuntimeError(f"mariadbd --bootstrap failed: {done.stderr.decode(errors='replace').strip()[-1000:]}")

    @property
    def url(self) -> str:
        """The URL of no database; URLs of databases have their name as path."""
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def _share(self) -> Path:
        return (self._program.root or Path("/")) / "usr/share/mysql"

    @property
    def _command(self) -> list[str]:
        user = ["--user=root"] if os.geteuid() == 0 else []
        data, socket = self._folder / "data", self._folder / "socket"
        places = [f"--datadir={data}", f"--socket={socket}", f"--pid-file={self._folder / 'pid'}", f"--lc-messages-dir={self._share}"]
        places.append(f"--tmpdir={self._folder / 'tmp'}")  # a server that starts empties it of others' tables
        options = [f"--{name}={value}" for name, value in self._options.items()]
        return [str(self._program.program), "--no-defaults", *user, *places, f"--character-sets-dir={self._share / 'charsets'}", *options]

    def start(self) -> None:
        assert self._process is None
        self._port = self._port or free_port()
        with (self._folder / "mariadb.log").open("ab") as log:
            command = [*self._command, f"--port={self._port}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._program.environment)
        until_blocking(self._is_up, _START_S, f"MariaDB up, see {self._folder}/mariadb.log")

    def stop(self) -> None:
        """At once: connections are closed, and the next start recovers."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, *statements: str) -> None:
        async def work() -> None:
            connection = await asyncmy.connect(
                host="127.0.0.1", port=self._port, user=USER, password=PASSWORD, connect_timeout=30, read_timeout=60
            )
            try:
                for statement in statements:
                    await connection.query(statement)  # type: ignore[no-untyped-call]
            finally:
                await connection.ensure_closed()

        run_blocking(work())

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"MariaDB ended: {(self._folder / 'mariadb.log').read_text(errors='replace')[-500:]}"
        return accepts(self._port)


class MariaDbTemplate:
    """A migrated database whose tables are copied for each test."""

    def __init__(self, server: MariaDbServer) -> None:
        self._server = server
        self._name = f"jobtide_template_{os.urandom(5).hex()}"
        server.execute(f"CREATE DATABASE {self._name}")
        migrate_blocking(settings_of(f"{server.url}/{self._name}"))

    def fresh(self) -> DatabaseSettings:
        name = f"jobtide_test_{os.urandom(5).hex()}"
        copies = [f"CREATE TABLE {name}.{table} LIKE {self._name}.{table}" for table in (*metadata.tables, "alembic_version")]
        version = f"INSERT INTO {name}.alembic_version SELECT * FROM {self._name}.alembic_version"
        self._server.execute(f"CREATE DATABASE {name}", *copies, version, "COMMIT")
        return settings_of(f"{self._server.url}/{name}")

    def drop(self, settings: DatabaseSettings) -> None:
        self._server.execute(f"DROP DATABASE IF EXISTS {make_url(settings.url.get_secret_value()).database}")
