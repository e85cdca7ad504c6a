"""The environment in which figures are measured."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

import psutil

from tests.support.debian import MARIADB, installed
from tests.support.programs import MissingPart, nats_program, postgres_folder

_PACKAGES = ("jobtide", "nats-py", "faststream", "sqlalchemy", "aiosqlite", "asyncpg", "asyncmy", "aiohttp", "pydantic", "orjson", "numpy")


def machine() -> dict[str, Any]:
    """Hardware and versions, with the load at this moment; call it before a row begins."""
    import sqlite3

    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": load(),
        "cpu_busy_before_percent": psutil.cpu_percent(interval=0.5),
        "nats_server": _version([str(nats_program()), "--version"]),
        "postgresql": _version([str(postgres_folder() / "bin" / "postgres"), "--version"]),
        "mariadb": _mariadb(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _mariadb() -> str:
    try:
        found = installed(MARIADB)
    except MissingPart:
        return "missing"
    return _version([str(found.program), "--no-defaults", "--version"], found.environment)


def load() -> list[float]:
    """Load averages over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def _version(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, check=False, timeout=10, env=environment)
    return done.stdout.decode(errors="replace").strip() or "unknown"
