"""The systemd units, as far as they can be checked without a running systemd."""

import asyncio
import re
import socket
import subprocess
from pathlib import Path

import pytest

from shared.settings import DatabaseSettings, NatsSettings
from tests.deploy.conftest import ROOT
from tests.support.debian import SYSTEMD, installed
from tests.support.processes import ServiceRunner
from tests.support.waiting import until

UNITS = sorted((ROOT / "deploy" / "systemd").glob("jobtide*.*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
MAX_EXPOSURE = 30  # tenths: 3.0 of 10


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    found = installed(SYSTEMD)
    return subprocess.run(
        [found.program, *map(str, arguments)], env=found.environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def installed_units(tmp_path: Path) -> Path:
    """The units with programs that exist here."""
    for unit in UNITS:
        text = re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_systemd_accepts_every_unit(installed_units: Path) -> None:
    units = [unit for unit in installed_units.iterdir() if unit.suffix in (".service", ".target")]
    done = analyze("verify", "--man=no", *units)
    ours = [line for line in done.stderr.splitlines() if "jobtide" in line]
    assert ours == []
    (installed_units / "jobtide-wrong.service").write_text("[Service]\nExecStart=/bin/true\nProtectSystem=maybe\n")
    done = analyze("verify", "--man=no", installed_units / "jobtide-wrong.service")
    assert "jobtide-wrong.service:3: " in done.stderr, "a mistake is found"


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_units_are_hardened(unit: Path) -> None:
    done = analyze("security", "--no-pager", "--offline=true", f"--threshold={MAX_EXPOSURE}", unit)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_threshold_of_hardening_can_be_missed(tmp_path: Path) -> None:
    (tmp_path / "open.service").write_text("[Service]\nExecStart=/bin/true\n")
    done = analyze("security", "--no-pager", "--offline=true", f"--threshold={MAX_EXPOSURE}", tmp_path / "open.service")
    assert done.returncode != 0


def test_services_are_ready_when_they_say_so() -> None:
    texts = [unit.read_text() for unit in SERVICES if "-m services." in unit.read_text()]
    assert len(texts) == 5
    assert all("\nType=notify\n" in text and "\nTimeoutStartSec=infinity\n" in text for text in texts)


async def test_a_service_tells_the_manager_when_it_is_up_and_when_it_stops(
    nats_settings: NatsSettings,
    sqlite_database: DatabaseSettings,
    service: ServiceRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        received: list[str] = []

        def has(line: str) -> bool:
            try:
                while True:
                    received.extend(manager.recv(4096).decode().splitlines())
            except BlockingIOError:
                return line in received

        process = await service.start("jobstore", nats_settings, sqlite_database)
        await until(lambda: has("READY=1"), 20)
        assert "STOPPING=1" not in received
        assert f"STATUS=up, health {process.addresses['health']}" in received
        assert await process.terminate() == 0
        await until(lambda: has("STOPPING=1"), 20)


async def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shared.notify import notify_manager

    for address in ("", "relative", str(tmp_path / "missing")):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        await asyncio.to_thread(notify_manager, "READY=1")
