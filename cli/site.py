"""Finds the site of a command: an embedded one by its data folder, or the deployment of the settings."""

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pydantic import SecretStr

from cli.embedded.accounts import OPERATOR
from cli.embedded.broker import read_or_make_passwords
from cli.embedded.folder import DataFolder, is_locked, read_running
from cli.keys import read_keys
from shared.errors import UserError
from shared.settings import CONFIG_VARIABLE, PREFIX, ArchiveSettings, DatabaseSettings, NatsSettings, load

if TYPE_CHECKING:
    from nats.aio.client import Client
    from sqlalchemy.ext.asyncio import AsyncEngine

    from shared.metricdata import MetricsSettings

DEFAULT_DATA = Path("var")
_NO_SITE = (
    f"there is no site: give the data folder of `jobtide up` with --data, or the settings of a deployment ({CONFIG_VARIABLE} or variables)"
)
_CONNECTION_VARIABLES = (CONFIG_VARIABLE, f"{PREFIX}NATS_URL", f"{PREFIX}DATABASE_URL", f"{PREFIX}ARCHIVE_PATH", f"{PREFIX}ARCHIVE_URL")


@dataclass(frozen=True, slots=True)
class Site:
    """How to reach one site. ``folder`` is None for a deployment."""

    folder: DataFolder | None

    def nats(self, user: str = OPERATOR) -> NatsSettings:
        """Settings of the broker, for an embedded one as ``user``. Raises UserError if the embedded site is not running."""
        if self.folder is None:
            return load(NatsSettings)
        running = read_running(self.folder)
        nats = load(NatsSettings, url=running.nats)
        if running.nats_adapter == running.nats:  # not our own broker
            return nats
        password = SecretStr(read_or_make_passwords(self.folder.credentials_file)[user])
        return nats.model_copy(update={"user": user, "password": password, "creds_file": None})

    @property
    def name(self) -> str:
        """The name in messages to users."""
        if self.folder is not None:
            return f"the site in {self.folder.root}"
        servers = ", ".join(server.rpartition("@")[2].rpartition("//")[2] for server in load(NatsSettings).url.split(","))
        return f"the deployment with the broker {servers}"

    @property
    def database(self) -> DatabaseSettings:
        """Raises UserError when the folder has none, or when neither a folder nor a deployment was given."""
        if self.folder is None:
            settings = load(DatabaseSettings)
            if "url" not in settings.model_fields_set and not DataFolder(DEFAULT_DATA).database_file.exists():
                raise UserError(_NO_SITE)
            return settings
        if not self.folder.database_file.exists():  # opening it would create an empty one
            raise UserError(f"{self.folder.root} is not the data folder of a site; start one with `jobtide up --data {self.folder.root}`")
        return load(DatabaseSettings, url=SecretStr(self.folder.database_url))

    @property
    def archive(self) -> ArchiveSettings:
        return load(ArchiveSettings, path=self.folder.archive if self.folder else None)

    def metrics(self, timeout_s: float) -> "MetricsSettings":
        """The metric stores; by default an embedded site has its own. Raises UserError when the embedded site does not run."""
        from cli.embedded.services import own_store
        from shared.metricdata import MetricsSettings

        group = load(MetricsSettings, timeout_s=timeout_s)
        url = read_running(self.folder).metrics if self.folder is not None else None
        if self.folder is None or url is None or "kind" in group.model_fields_set:
            return group
        return own_store(group, url, read_keys(self.folder.keys_file).private)

    @property
    def keys_file(self) -> Path | None:
        return self.folder.keys_file if self.folder else None


def find_site(data: Path | None) -> Site:
    """The site in ``data`` if given, else the deployment if its settings are given, else the site in ``var`` if there is one."""
    _log_only_warnings()
    if data is not None:
        return Site(DataFolder(data))
    if any(os.environ.get(variable) for variable in _CONNECTION_VARIABLES):
        return Site(None)
    default = DataFolder(DEFAULT_DATA)
    # Services started by hand may have their database there too, but only an embedded site has broker credentials.
    is_site = default.run_file.exists() or default.credentials_file.exists() or is_locked(default)
    return Site(default if is_site else None)


def _log_only_warnings() -> None:
    """Drop routine log lines, since the output of a command is its result."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@asynccontextmanager
async def broker_of(site: Site, name: str, user: str = OPERATOR) -> AsyncIterator[tuple["Client", NatsSettings]]:
    """A broker connection for one command. ``user`` is a user of the embedded broker. Raises Unavailable, UserError."""
    from shared.broker.connection import dial

    nats = site.nats(user)
    client = await dial(nats, f"jobtide-{name}")
    try:
        yield client, nats
    finally:
        await client.close()


@asynccontextmanager
async def database_of(site: Site) -> AsyncIterator["AsyncEngine"]:
    """The database for a read-only command. Raises UserError if it has another version's schema, Unavailable."""
    from shared.database.engine import opened
    from shared.database.schema import require_schema

    async with opened(site.database, read_only=True) as engine:
        await require_schema(engine)
        yield engine
