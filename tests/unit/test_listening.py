"""A service that cannot listen names the setting to change in one line, and exits with 2."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from shared.errors import CannotListen
from shared.health import Health, serve_health
from shared.http.numbers import HttpNumbers
from shared.http.server import listening
from tests.support.processes import REPOSITORY


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield f"127.0.0.1:{other.getsockname()[1]}"


async def test_a_taken_port_is_named_by_the_setting(taken: str) -> None:
    with pytest.raises(CannotListen) as caught:
        async with serve_health(Health("jobstore"), taken):
            pass
    assert str(caught.value) == f"JOBTIDE_JOBSTORE_HEALTH: cannot listen on {taken}: address already in use"


async def test_an_address_of_another_machine_is_reported_too() -> None:
    with pytest.raises(CannotListen, match=r"^JOBTIDE_GATEWAY_HTTP: cannot listen on 192\.0\.2\.1:0: "):
        async with listening(web.Application(), "192.0.2.1:0", "JOBTIDE_GATEWAY_HTTP", HttpNumbers(CollectorRegistry())):
            pass


def started(service: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOBTIDE_")}
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        cwd=REPOSITORY,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(("service", "variable"), [("jobstore", "JOBTIDE_JOBSTORE_HEALTH"), ("gateway", "JOBTIDE_GATEWAY_HTTP")])
def test_the_process_ends_with_one_line(service: str, variable: str, taken: str) -> None:
    # Nothing listens on port 1: the error is reported before waiting for broker and database.
    away = {"JOBTIDE_NATS_URL": "nats://127.0.0.1:1", "JOBTIDE_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    done = started(service, **{variable: taken, "JOBTIDE_LOG_LEVEL": "error"}, **away)
    assert (done.returncode, done.stderr) == (2, f"{service}: {variable}: cannot listen on {taken}: address already in use\n")
    done = started(service, **{variable: "8082"})
    assert (done.returncode, done.stderr) == (2, f"{service}: {variable}: '8082' is not HOST:PORT\n")


def test_a_gateway_over_no_database_or_another_schema_does_not_start(tmp_path: Path) -> None:
    database = tmp_path / "some.db"
    away = {
        "JOBTIDE_NATS_URL": "nats://127.0.0.1:1",
        "JOBTIDE_DATABASE_URL": f"sqlite:///{database}",
        "JOBTIDE_GATEWAY_HTTP": "127.0.0.1:0",
    }
    done = started("gateway", **away)
    assert (done.returncode, done.stderr) == (2, f"gateway: there is no database {database}; `jobtide migrate` creates it\n")
    assert not database.exists()
    database.touch()
    done = started("gateway", **away)
    assert done.returncode == 2
    assert done.stderr.startswith("gateway: the database schema is at nothing, this version needs ")
