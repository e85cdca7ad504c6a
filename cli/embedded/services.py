"""The services with the settings of an embedded site."""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cli.embedded.child import ServiceProcess
from cli.embedded.supervisor import STOP_GRACE_S, Start
from cli.keys import KeyPair, sign_token
from shared.metricdata.settings import MetricsSettings
from shared.service import Report
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings

SERVICES = ("ingest", "jobstore", "archiver", "metricstore", "gateway")
ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """The settings shared by all services of the site, and the keys of the gateway. ``nats_as`` returns the broker settings of a user.

    ``defaults`` are settings of services that apply unless they are configured.
    ``metrics_http`` is the address of the site's own metric store, which is used unless the settings name another one.
    """

    nats_as: Callable[[str], NatsSettings]
    database: DatabaseSettings
    archive: ArchiveSettings
    http: str
    keys: KeyPair
    session_key: str = ""
    metrics_http: str = ANY_PORT
    samples: Path = Path("var/samples")
    defaults: Mapping[str, Any] = field(default_factory=dict)


def load_settings_of(name: str) -> Any:
    """The settings of one service, from environment and file. Raises UserError."""
    return importlib.import_module(f"services.{name}.settings").load_settings()


def embedded_service(name: str, site: SiteSettings, *, as_process: bool = False) -> Start:
    """A function that runs the service, here or in a process of its own; after a restart it listens on the same addresses."""
    settings = load_settings_of(name)
    shared: dict[str, Any] = {}
    for member in fields(settings):
        group = getattr(settings, member.name)
        shared[member.name] = _on_site(group, name, site)
    bound = _Bound(replace(settings, **shared))

    async def start(stop: asyncio.Event, report: Report) -> None:
        def remember(service: str, **addresses: str) -> None:
            bound.pin(addresses)
            report(service, **addresses)

        await run(bound.settings, stop, remember)

    run = ServiceProcess(name).run if as_process else importlib.import_module(f"services.{name}.app").run
    return start


def _on_site(group: Any, service: str, site: SiteSettings) -> Any:
    """The group adapted to the site: shared groups are replaced, addresses and keys are set."""
    for ours in (site.nats_as(service), site.database, site.archive):
        if type(group) is type(ours):
            return ours
    if isinstance(group, MetricsSettings):
        return group if "kind" in group.model_fields_set else own_store(group, f"http://{site.metrics_http}", site.keys.private)
    known = type(group).model_fields
    values: dict[str, Callable[[], object]] = {
        "health": lambda: ANY_PORT,
        "http": lambda: site.metrics_http if service == "metricstore" else site.http,
        "path": lambda: site.samples,
        "jwt_public_key": lambda: _public_keys(site, group.jwt_public_key if service == "gateway" else ""),
        "jwt_private_key": lambda: SecretStr(site.keys.private),
        "session_key": lambda: SecretStr(site.session_key),
        "grace_s": lambda: min(group.grace_s, STOP_GRACE_S - 1),
    }
    defaults = {name: value for name, value in site.defaults.items() if name in known and name not in group.model_fields_set}
    return group.model_copy(update=defaults | {name: make() for name, make in values.items() if name in known})


def _public_keys(site: SiteSettings, configured: str) -> str:
    """The site's own key, and configured ones: tokens of the cc-backend that the site replaces stay valid."""
    return ",".join(key for key in (site.keys.public, configured) if key)


def own_store(group: MetricsSettings, url: str, private_key: str) -> MetricsSettings:
    """The site's own metric store as the source."""
    token = sign_token(private_key, "jobtide", ["api"], None)
    return group.model_copy(update={"kind": "cc-metric-store", "url": url, "token": SecretStr(token)})


class _Bound:
    """Settings in which port 0 is replaced by the port that was bound, so that a restarted service keeps its address."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def pin(self, addresses: dict[str, str]) -> None:
        for member in fields(self.settings):
            group = getattr(self.settings, member.name)
            update = {name: address for name, address in addresses.items() if name in type(group).model_fields}
            if update:
                self.settings = replace(self.settings, **{member.name: group.model_copy(update=update)})
