"""The four services with the settings of an embedded site."""

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from pydantic import SecretStr

from cli.embedded.supervisor import STOP_GRACE_S, Start
from cli.keys import KeyPair
from shared.service import Report
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings

SERVICES = ("ingest", "jobstore", "archiver", "gateway")
ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """The groups shared by all services of the site, and the keys of the gateway. ``nats_as`` gives the broker for one user."""

    nats_as: Callable[[str], NatsSettings]
    database: DatabaseSettings
    archive: ArchiveSettings
    http: str
    keys: KeyPair
    session_key: str = ""


def load_settings_of(name: str) -> Any:
    """The settings of one service, from environment and file. Raises UserError."""
    return importlib.import_module(f"services.{name}.settings").load_settings()


def embedded_service(name: str, site: SiteSettings) -> Start:
    """A function that runs the service; a restart listens on the same addresses."""
    app = importlib.import_module(f"services.{name}.app")
    settings = load_settings_of(name)
    shared: dict[str, Any] = {}
    for field in fields(settings):
        group = getattr(settings, field.name)
        shared[field.name] = _on_site(group, name, site)
    bound = _Bound(replace(settings, **shared))

    async def start(stop: asyncio.Event, report: Report) -> None:
        def remember(service: str, **addresses: str) -> None:
            bound.pin(addresses)
            report(service, **addresses)

        await app.run(bound.settings, stop, remember)

    return start


def _on_site(group: Any, service: str, site: SiteSettings) -> Any:
    """The group adapted to the site: shared groups are replaced, addresses and keys are set."""
    for ours in (site.nats_as(service), site.database, site.archive):
        if type(group) is type(ours):
            return ours
    known = type(group).model_fields
    values: dict[str, Callable[[], object]] = {
        "health": lambda: ANY_PORT,
        "http": lambda: site.http,
        "jwt_public_key": lambda: site.keys.public,
        "jwt_private_key": lambda: SecretStr(site.keys.private),
        "session_key": lambda: SecretStr(site.session_key),
        "grace_s": lambda: min(group.grace_s, STOP_GRACE_S - 1),
    }
    return group.model_copy(update={name: make() for name, make in values.items() if name in known})


class _Bound:
    """Settings in which port 0 is replaced by the port that was bound, so that a restarted service keeps its address."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def pin(self, addresses: dict[str, str]) -> None:
        for field in fields(self.settings):
            group = getattr(self.settings, field.name)
            update = {name: address for name, address in addresses.items() if name in type(group).model_fields}
            if update:
                self.settings = replace(self.settings, **{field.name: group.model_copy(update=update)})
