"""A real slapd."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.debian import SLAPD, Installation, installed
from tests.support.programs import accepts, end, free_port
from tests.support.waiting import until_blocking

BASE = "dc=site,dc=example"
ADMIN_DN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "directory secret"
READER_DN, READER_PASSWORD = f"cn=reader,{BASE}", "reader's secret"  # gets at most LIMIT entries per search
LIMIT = 20

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
    """A directory without users, on a free port. Port and data survive ``stop`` and ``start``."""

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        self._folder = folder
        self._slapd = installed(SLAPD)
        self._port = free_port()
        self._tls_port = free_port() if tls else 0
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()
        modules = _below(self._slapd, "usr/lib/ldap")
        (folder / "slapd.conf").write_text(
            _CONFIG.format(
                schema=_schema(self._slapd),
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
        command = [str(self._slapd.program), "-f", str(self._folder / "slapd.conf"), "-h", urls, "-d", "0"]
        with (self._folder / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._slapd.environment)
        until_blocking(self._is_up, 30, f"slapd up, see {self._folder}/slapd.log")

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGTERM)
            self._process = None

    def kill(self) -> None:
        """Stop it with SIGKILL, since it would wait for its clients."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def pause(self) -> None:
        """Accept connections but answer nothing until ``go_on``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "slapd.log").read_text(errors="replace")[-500:]
        return accepts(self._port)


def _below(slapd: Installation, path: str) -> Path:
    return (slapd.root or Path("/")) / path


def _schema(slapd: Installation) -> Path:
    inside = _below(slapd, "etc/ldap/schema")
    return inside if inside.exists() else Path("/etc/openldap/schema")


@contextmanager
def directory_server(folder: Path, tls: Tls | None = None) -> Iterator[Slapd]:
    server = Slapd(folder, tls)
    server.start()
    try:
        yield server
    finally:
        server.kill()
