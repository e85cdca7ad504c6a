"""`jobtide up`: a whole site in one command, with a broker of its own or a running one."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog
from pydantic import SecretStr

from cli.embedded.accounts import OPERATOR
from cli.embedded.broker import EmbeddedBroker, free_address, own_broker, require_free
from cli.embedded.folder import DataFolder, Running, locked, write_running
from cli.embedded.services import SERVICES, SiteSettings, embedded_service, load_settings_of
from cli.embedded.settings import UpSettings
from cli.embedded.supervisor import Addresses, Start, supervise_all
from cli.keys import read_or_make_keys, read_or_make_session_key
from shared.addresses import reachable
from shared.errors import UserError
from shared.http.limits import raise_descriptor_limit
from shared.service import importing, install_signal_handlers
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings, load, setting_name

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Options of the command. ``nats`` is HOST:PORT for an embedded server, or the URL of a running one.

    ``defaults`` are settings of services that apply unless they are configured.
    """

    data: Path
    http: str
    nats: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


Beforehand = Callable[[SiteSettings, asyncio.Event], Awaitable[None]]
Alongside = Callable[[SiteSettings, Running, asyncio.Event], Awaitable[None]]


async def up(
    options: UpOptions, *, on_ready: Callable[[Running], None], beforehand: Beforehand | None = None, alongside: Alongside | None = None
) -> None:
    """Run the site until SIGINT or SIGTERM. ``beforehand`` runs before any service, ``alongside`` once all are ready.

    Raises UserError and LogMismatch for problems that the user must fix.
    """
    stop = asyncio.Event()
    install_signal_handlers(stop)
    raise_descriptor_limit()
    folder = DataFolder(options.data)
    async with AsyncExitStack() as stack:
        stack.enter_context(locked(folder))
        require_free("--http", options.http)
        for name in SERVICES:
            load_settings_of(name)  # report invalid settings before anything starts
        keys = read_or_make_keys(folder.keys_file)
        stack.callback(folder.run_file.unlink, missing_ok=True)
        database = load(DatabaseSettings, url=SecretStr(folder.database_url))
        migrating = asyncio.create_task(_migrate(database))
        stack.push_async_callback(_finished, migrating)
        broker = await stack.enter_async_context(_broker(folder, options.nats, stop))
        site = SiteSettings(
            broker.settings,
            database,
            load(ArchiveSettings, path=folder.archive),
            options.http,
            keys,
            read_or_make_session_key(folder.keys_file),
            free_address(),
            folder.samples,
            options.defaults,
        )
        services = _imported(site)
        await migrating  # before connecting to the broker, so that a failure does not break a connection
        await _provision(broker.settings(OPERATOR), database if isinstance(broker, EmbeddedBroker) else None)
        if beforehand is not None and not stop.is_set():
            await beforehand(site, stop)
        if stop.is_set():
            return
        addresses = Addresses()
        ready = asyncio.Event()

        def changed() -> None:
            if set(addresses.by_service) >= set(SERVICES):
                running = _running(addresses, broker)
                write_running(folder, running)
                if not ready.is_set():
                    ready.set()
                    on_ready(running)

        addresses.changed = changed
        async with asyncio.TaskGroup() as group:
            group.create_task(supervise_all(services, stop, addresses))
            if alongside is not None:
                group.create_task(_when(ready, stop, lambda: alongside(site, _running(addresses, broker), stop)))


def _imported(site: SiteSettings) -> dict[str, Start]:
    own = {"metricstore"} if load(UpSettings).has_metricstore_process else set()
    with importing():
        return {name: embedded_service(name, site, as_process=name in own) for name in SERVICES}


def _running(addresses: Addresses, broker: "SiteBroker") -> Running:
    http = addresses.by_service.get("gateway", {}).get("http")
    health = {service: f"http://{said['health']}" for service, said in addresses.by_service.items() if "health" in said}
    metrics = addresses.by_service.get("metricstore", {}).get("http")
    return Running(
        f"http://{reachable(http)}" if http else None,
        f"http://{metrics}" if metrics else None,
        broker.url,
        broker.adapter_url,
        health,
        os.getpid(),
    )


async def _when(ready: asyncio.Event, stop: asyncio.Event, then: Callable[[], Awaitable[None]]) -> None:
    waits = [asyncio.ensure_future(ready.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if ready.is_set() and not stop.is_set():
        await then()


class SiteBroker(Protocol):
    """The broker of the site: an ``EmbeddedBroker`` or an ``OtherBroker``."""

    @property
    def url(self) -> str: ...

    @property
    def adapter_url(self) -> str: ...

    def settings(self, user: str) -> NatsSettings: ...


@dataclass(frozen=True, slots=True)
class OtherBroker:
    """A running broker: all parts of the site connect as the user in the settings."""

    nats: NatsSettings

    @property
    def url(self) -> str:
        return self.nats.url

    @property
    def adapter_url(self) -> str:
        return self.nats.url

    def settings(self, _: str) -> NatsSettings:
        return self.nats


@asynccontextmanager
async def _broker(folder: DataFolder, where: str, stop: asyncio.Event) -> AsyncIterator[SiteBroker]:
    """An embedded server that is kept running, or the one at the URL ``where``."""
    if "://" in where:
        yield OtherBroker(load(NatsSettings, url=where))
        return
    open_to = load(UpSettings).open_to
    if open_to != "nobody":
        log.warning("broker_open", to=open_to, setting=setting_name("up", "open_to"))
    async with own_broker(folder, where, load(NatsSettings), open_to) as broker:
        keeping = asyncio.create_task(broker.keep_running(stop))
        try:
            yield broker
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def _provision(nats: NatsSettings, database: DatabaseSettings | None) -> None:
    """Create the streams. With ``database``, also continue a log that lost its end, as in a power cut, before any service publishes.

    Raises UserError when the broker is unreachable or refuses the request.
    """
    from services.jobstore.continue_log import continue_log
    from shared.broker.connection import dial
    from shared.broker.streams import provision
    from shared.database.engine import opened
    from shared.errors import Unavailable

    try:
        client = await dial(nats, "provision")
    except Unavailable as e:
        raise UserError(f"--nats: {e}") from e
    try:
        for change in await provision(client, nats):
            log.info("provisioned", change=change)
        if database is not None:
            async with opened(database, maintenance=True) as engine:
                for change in await continue_log(client, nats, engine, only_lost_ends=True):
                    log.warning("log_continued", change=change)
    finally:
        await client.close()


async def _migrate(database: DatabaseSettings) -> None:
    from sqlalchemy.exc import DBAPIError

    from shared.database.engine import opened
    from shared.database.schema import REVISION, revision

    async with opened(database, maintenance=True) as engine:
        try:
            if await revision(engine) == REVISION:
                return
            from shared.database.migrate import migrate

            before, after = await migrate(engine)
        except DBAPIError as e:
            raise UserError(f"{database.url.get_secret_value().removeprefix('sqlite:///')}: {e.orig}") from e
    if before != after:
        log.info("database_migrated", before=before, after=after)


async def _finished(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
