"""Where a cc-backend has its files: ``config.json``, ``.env``, the database and the archive. Nothing here is ever written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from cli.takeover.database import Database
from cli.takeover.mysql_server import MySqlServer
from cli.takeover.sqlite_file import SqliteFile
from shared.errors import UserError

CONFIG_FILE = "config.json"
ENV_FILE = ".env"
SQLITE, MYSQL = "sqlite3", "mysql"  # words of ``db-driver``
DEFAULT_DATABASE = "./var/job.db"
DEFAULT_ARCHIVE = "./var/job-archive"
_FILE_KEY = re.compile(r"([a-z]+)-file")
_ENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_SECTIONS = ("main", "auth", "cron", "archive", "metric-store", "metric-store-external", "nats", "ui")


@dataclass(frozen=True, slots=True)
class Source:
    """A cc-backend. Relative paths of ``config`` are relative to ``folder``, its working directory."""

    folder: Path
    config: Mapping[str, Any]
    env: Mapping[str, str]

    def section(self, name: str) -> Mapping[str, Any]:
        value = self.config.get(name)
        return value if isinstance(value, dict) else {}

    def open_database(self) -> Database:
        """The caller closes it. Raises UserError."""
        main = self.section("main")
        driver, address = main.get("db-driver", SQLITE), str(main.get("db") or DEFAULT_DATABASE)
        if driver not in (SQLITE, MYSQL):
            raise UserError(f"main.db-driver: {driver!r} is neither {SQLITE} nor {MYSQL}")
        return Database(MySqlServer(address) if driver == MYSQL else SqliteFile(self.folder / address))


def read_source(path: Path) -> Source:
    """The cc-backend with this configuration file, or with ``config.json`` in this folder. Raises UserError."""
    file = path / CONFIG_FILE if path.is_dir() else path
    config = _read_config(file)
    if "main" not in config:
        config = _with_sections(config)
    if not config:
        raise UserError(f"{file} is not the configuration of a cc-backend")
    for key in list(config):
        if (match := _FILE_KEY.fullmatch(key)) is not None:
            config[match[1]] = _read_config(file.parent / str(config.pop(key)))
    return Source(file.parent, config, _read_env(file.parent / ENV_FILE))


def _with_sections(flat: dict[str, Any]) -> dict[str, Any]:
    """A configuration of a release before 1.5, with the keys and sections of 1.5."""
    config: dict[str, Any] = {}
    for key, value in flat.items():
        if key in _SECTIONS or key in ("clusters", "ui-defaults") or _FILE_KEY.fullmatch(key):
            config[key] = value
        elif key in ("jwts", "ldap"):
            config.setdefault("auth", {})[key] = _kebab(value)
        else:
            config.setdefault("main", {}).update(_kebab({key: value}))
    return config


def _kebab(value: Any) -> Any:
    """Objects with the spelling of keys of 1.5: ``cookieName`` and ``user_base`` are ``cookie-name`` and ``user-base``."""
    if not isinstance(value, dict):
        return value
    return {re.sub(r"(?<=[a-z])(?=[A-Z])|_", "-", key).lower(): _kebab(item) for key, item in value.items()}


_WANTED = "give the folder of cc-backend in which config.json is, or its configuration file"


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = orjson.loads(file.read_bytes())
    except OSError as e:
        raise UserError(f"cannot read {file}: {e.strerror}; {_WANTED}") from e
    except orjson.JSONDecodeError as e:
        raise UserError(f"{file} is not JSON: {e}; {_WANTED}") from e
    if not isinstance(config, dict):
        raise UserError(f"{file} is not a JSON object")
    return config


def _read_env(file: Path) -> dict[str, str]:
    """The variables of an ``.env`` file; empty if there is none or it may not be read."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    matches = (_ENV_LINE.fullmatch(line) for line in lines if not line.lstrip().startswith("#"))
    return {match[1]: _unquoted(match[2]) for match in matches if match is not None}


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()
