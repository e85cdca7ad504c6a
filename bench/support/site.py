"""A site under measurement: its services as separate processes, or all of it embedded in `jobtide up`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from bench.support.cluster import cluster_text
from bench.support.seed import begin_log_after, seed_database, seed_log
from bench.support.servers import Databases, Engine
from cli import site as commands
from cli.embedded.accounts import OPERATOR
from cli.embedded.broker import own_broker
from cli.embedded.folder import DataFolder, read_running
from cli.keys import generate, read_keys, sign_token
from shared.broker.clusters import add_cluster
from shared.broker.streams import provision
from shared.database.migrate import migrate_blocking
from shared.errors import UserError
from shared.settings import PREFIX, ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.nats import NatsServer, client_of
from tests.support.processes import REPOSITORY, ServiceProcess, ServiceRunner, environment
from tests.support.programs import end
from tests.support.waiting import until

UP_S = 60.0
EVENT_PATH = ("ingest", "jobstore")
ALL_SERVICES = ("ingest", "jobstore", "archiver", "gateway")


@dataclass(frozen=True, slots=True)
class Site:
    """Addresses and processes of a running site; ``services`` is empty for an embedded one."""

    mode: str
    engine: Engine
    nats: NatsSettings
    database: DatabaseSettings
    archive: Path
    services: Mapping[str, ServiceProcess]
    main_pids: tuple[int, ...]
    http: str | None
    token: str
    server_pid: int | None = None  # the database server

    @property
    def setting(self) -> dict[str, str]:
        return {"services": self.mode, "database": self.engine}

    @property
    def pids(self) -> list[int]:
        """The processes of the services and the broker, without the database."""
        return [*self.main_pids, *(service.pid for service in self.services.values())]


class PreparedSite:
    """Broker and database are there, streams and the cluster too; services are started one by one."""

    def __init__(
        self,
        server: NatsServer,
        nats: NatsSettings,
        database: DatabaseSettings,
        engine: Engine,
        folder: Path,
        server_pid: int | None,
    ) -> None:
        self._server = server
        self._server_pid = server_pid
        self._keys = generate()
        self._runner = ServiceRunner(folder)
        self._started: dict[str, ServiceProcess] = {}
        self.nats, self.database, self.engine, self.archive = nats, database, engine, folder / "archive"
        self._groups = [nats, database, ArchiveSettings(path=self.archive)]

    def environment(self) -> dict[str, str]:
        """The environment of a command on this site."""
        return inherited() | environment(self._groups)

    async def start(self, *names: str, **variables: str) -> Site:
        """Start these services too; ``variables`` are whole names of settings. Returns when all are up."""
        for name in names:
            given = {f"{PREFIX}GATEWAY_JWT_PUBLIC_KEY": self._keys.public} | variables
            self._started[name] = self._runner.prepare(name, *self._groups, **given)
            self._started[name].launch()
        for name in names:
            await self._started[name].up(UP_S)
        gateway = self._started.get("gateway")
        return Site(
            "separate processes",
            self.engine,
            self.nats,
            self.database,
            self.archive,
            self._started,
            (self._server.pid,),
            f"http://{gateway.addresses['http']}" if gateway else None,
            sign_token(self._keys.private, "bench", ["admin", "api"], None),
            self._server_pid,
        )

    def end(self) -> None:
        self._runner.end_all()


@asynccontextmanager
async def prepared_site(
    databases: Databases, engine: Engine, folder: Path, *, stored: int = 0, logged: bool = False
) -> AsyncIterator[PreparedSite]:
    """Everything but services, with a database of its own. ``stored`` jobs are in it; ``logged``: in the log too."""
    folder.mkdir(parents=True, exist_ok=True)
    own = await databases.empty(engine, folder)
    try:
        async with site_over(databases, engine, own, folder, [cluster_text()]) as (site, client):
            await _fill(client, site.nats, own, stored, logged=logged)
            yield site
    finally:
        await databases.drop(own)


@asynccontextmanager
async def site_over(
    databases: Databases, engine: Engine, database: DatabaseSettings, folder: Path, clusters: Sequence[bytes]
) -> AsyncIterator[tuple[PreparedSite, Client]]:
    """A broker with streams and clusters, and a client of it, for a database that may be filled or not."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nats").mkdir()
    server = NatsServer(folder / "nats")
    site = None
    try:
        await asyncio.to_thread(server.start)
        nats = NatsSettings(url=server.url)
        async with client_of(nats) as client:
            await provision(client, nats)
            for text in clusters:
                await add_cluster(client, nats, text)
            site = PreparedSite(server, nats, database, engine, folder, databases.pid(engine))
            yield site, client
    finally:
        if site is not None:
            site.end()
        server.kill()


async def _fill(client: Client, nats: NatsSettings, database: DatabaseSettings, jobs: int, *, logged: bool) -> None:
    if not jobs:
        await asyncio.to_thread(migrate_blocking, database)
        return
    created = await seed_log(client, nats, jobs) if logged else await begin_log_after(client, nats, 2 * jobs)
    await seed_database(database, jobs, created)


async def seed_embedded(folder: Path, jobs: int) -> None:
    """A data folder as a run of `jobtide up` leaves it, with so many finished jobs in database and log."""
    data = DataFolder(folder)
    async with own_broker(data, "127.0.0.1:0", NatsSettings()) as broker:
        nats = broker.settings(OPERATOR)
        async with client_of(nats) as client:
            await provision(client, nats)
            await _fill(client, nats, DatabaseSettings.model_validate({"url": data.database_url}), jobs, logged=True)


@asynccontextmanager
async def separate_site(databases: Databases, engine: Engine, folder: Path, services: Sequence[str] = EVENT_PATH) -> AsyncIterator[Site]:
    async with prepared_site(databases, engine, folder) as site:
        yield await site.start(*services)


@asynccontextmanager
async def embedded_site(folder: Path, **variables: str) -> AsyncIterator[Site]:
    """`jobtide up` over ``folder``, which may hold data already."""
    data = DataFolder(folder)
    async with AsyncExitStack() as stack:
        process, _ = launch_embedded(data, variables)
        stack.callback(end, process, signal.SIGTERM)
        await until(lambda: is_running(data, process), UP_S, f"`jobtide up` ready, see {folder}/up.log")
        running = read_running(data)
        nats = commands.Site(data).nats()
        async with client_of(nats) as client:
            await add_cluster(client, nats, cluster_text())
        broker = int((data.broker / "nats-server.pid").read_text())
        keys = read_keys(data.keys_file)
        yield Site(
            "embedded",
            "sqlite",
            nats,
            DatabaseSettings.model_validate({"url": data.database_url}),
            data.archive,
            {},
            (process.pid, broker),
            running.http,
            sign_token(keys.private, "bench", ["admin", "api"], None),
        )


def launch_embedded(data: DataFolder, variables: Mapping[str, str] | None = None) -> tuple[subprocess.Popen[bytes], float]:
    """The process, and when it was started, Unix seconds."""
    data.root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cli.main", "up", "--data", str(data.root), "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
    with (data.root / "up.log").open("ab") as log:
        started = time.time()
        process = subprocess.Popen(
            command, env=inherited() | dict(variables or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=REPOSITORY
        )
    return process, started


def inherited() -> dict[str, str]:
    """The environment without any setting of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def is_running(data: DataFolder, process: subprocess.Popen[bytes]) -> bool:
    """Raises RuntimeError when it ended instead."""
    if process.poll() is not None:
        raise RuntimeError(f"`jobtide up` ended with {process.returncode}: {(data.root / 'up.log').read_text(errors='replace')[-1500:]}")
    try:
        return read_running(data).pid == process.pid
    except UserError:
        return False
