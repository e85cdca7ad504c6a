"""A real InfluxDB 1.x."""

import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.support.debian import INFLUXD, installed
from tests.support.programs import end, free_port
from tests.support.waiting import until_blocking
from tests.support.web import answers

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
[monitor]
  store-enabled = false
"""


@contextmanager
def influxdb(folder: Path, database: str) -> Iterator[str]:
    """The address of a server with an empty database."""
    found = installed(INFLUXD)
    port = free_port()
    config = folder / "influxdb.conf"
    config.write_text(_CONFIG.format(folder=folder, http=port, rpc=free_port()))
    with (folder / "influxdb.log").open("ab") as log:
        process = subprocess.Popen([str(found.program), "-config", str(config)], stdout=log, stderr=log, env=found.environment)
    try:
        url = f"http://127.0.0.1:{port}"
        until_blocking(lambda: answers(f"{url}/ping", {204}), 30, f"InfluxDB ready, see {folder}/influxdb.log")
        _post(f"{url}/query?q={quote(f'CREATE DATABASE {database}')}", b"")
        yield url
    finally:
        end(process, signal.SIGKILL)


def write(url: str, database: str, lines: list[str]) -> None:
    """Line protocol with times in seconds."""
    _post(f"{url}/write?db={database}&precision=s", "\n".join(lines).encode())


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=30) as answer:
        answer.read()
