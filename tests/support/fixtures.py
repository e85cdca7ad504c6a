"""Fixtures for all tests. Servers live as long as the test run, their content as long as one test."""

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from nats.aio.client import Client

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.clusters import add_clusters_blocking
from tests.support.containers import nats_container, postgres_container, require_engine
from tests.support.databases import PostgresTemplate, SqliteTemplate
from tests.support.mariadb import MariaDbServer, MariaDbTemplate
from tests.support.nats import NatsServer, RunningNats, client_of, forget_blocking, provision_blocking, unique_settings
from tests.support.postgres import PostgresServer, RunningPostgres
from tests.support.processes import ServiceRunner
from tests.support.programs import MissingPart, Sources, nats_program, postgres_folder
from tests.support.seaweedfs import SeaweedFs

SOURCES = Sources.from_environment()


def pytest_configure(config: pytest.Config) -> None:
    """A missing program ends the run immediately with one line."""
    if hasattr(config, "workerinput"):
        return  # the process that started this worker has checked
    _note_missing(config, [])
    try:
        nats_program()  # tests that kill their broker always use this one
        postgres_folder()
        if SOURCES.docker:
            require_engine()
    except MissingPart as e:
        raise pytest.UsageError(str(e)) from e


S = TypeVar("S", PostgresServer, MariaDbServer)
_missed: set[str] = set()


def _note_missing(config: pytest.Config, why: list[str]) -> None:
    """For ``.ci/run``, which must not take a run for whole in which tests were skipped."""
    if (cache := getattr(config, "cache", None)) is not None:
        cache.set("jobtide/missing", why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Where a program of a single fixture is missing, the first test that needs it fails with one line, and the others are skipped."""
    try:
        yield
    except MissingPart as e:
        why = str(e)
    else:
        return
    if why in _missed:
        pytest.skip(why)
    _missed.add(why)
    _note_missing(item.config, sorted(_missed))
    pytest.fail(why, pytrace=False)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer | RunningNats]:
    """The broker of this run; tests share it and must not stop it. See ``nats_settings``."""
    if SOURCES.nats_url:
        yield RunningNats(SOURCES.nats_url)
        return
    if SOURCES.docker:
        with nats_container() as container:
            yield container
        return
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def private_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A private broker that the test may kill and restart. Always the program of the wheel."""
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def nats_settings(nats_server: NatsServer | RunningNats, service: ServiceRunner) -> Iterator[NatsSettings]:
    """Streams and subjects that no other test uses, provisioned, without clusters."""
    settings = unique_settings(nats_server.url)
    provision_blocking(settings)
    yield settings
    service.end_all()  # before their broker and database are removed
    forget_blocking(settings)


@pytest.fixture
def site(nats_settings: NatsSettings) -> NatsSettings:
    """``nats_settings`` with the sample clusters alex, emmy, fritz and slurmlab."""
    add_clusters_blocking(nats_settings)
    return nats_settings


@pytest.fixture
def private_site(private_nats: NatsServer) -> NatsSettings:
    """Like ``site``, on a private broker."""
    settings = unique_settings(private_nats.url)
    provision_blocking(settings)
    add_clusters_blocking(settings)
    return settings


@pytest.fixture
async def nats_client(nats_settings: NatsSettings) -> AsyncIterator[Client]:
    async with client_of(nats_settings) as client:
        yield client


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer | RunningPostgres]:
    """The PostgreSQL of this run; tests share it and must not stop it. See ``postgres_database``."""
    if SOURCES.postgres_url:
        yield RunningPostgres(SOURCES.postgres_url)
        return
    if SOURCES.docker:
        with postgres_container() as container:
            yield container
        return
    yield from _running(PostgresServer())


def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def private_postgres() -> Iterator[PostgresServer]:
    """A private PostgreSQL that the test may stop and start. Always the programs of the wheel."""
    yield from _running(PostgresServer())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    return SqliteTemplate(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer | RunningPostgres) -> Iterator[PostgresTemplate]:
    template = PostgresTemplate(postgres_server.url)
    yield template
    template.remove()


@pytest.fixture
def sqlite_database(sqlite_template: SqliteTemplate, tmp_path: Path) -> DatabaseSettings:
    """A fresh migrated SQLite file."""
    return sqlite_template.fresh(tmp_path)


@pytest.fixture
def postgres_database(postgres_template: PostgresTemplate, service: ServiceRunner) -> Iterator[DatabaseSettings]:
    """A fresh migrated PostgreSQL database."""
    settings = postgres_template.fresh()
    yield settings
    service.end_all()
    postgres_template.drop(settings)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDbServer]:
    """The MariaDB of this run; tests share it and must not stop it. See ``mariadb_database``."""
    yield from _running(MariaDbServer())


@pytest.fixture
def private_mariadb() -> Iterator[MariaDbServer]:
    """A private MariaDB that the test may stop and start."""
    yield from _running(MariaDbServer())


@pytest.fixture(scope="session")
def mariadb_template(mariadb_server: MariaDbServer) -> MariaDbTemplate:
    return MariaDbTemplate(mariadb_server)


@pytest.fixture
def mariadb_database(mariadb_template: MariaDbTemplate, service: ServiceRunner) -> Iterator[DatabaseSettings]:
    """A fresh migrated MariaDB database."""
    settings = mariadb_template.fresh()
    yield settings
    service.end_all()
    mariadb_template.drop(settings)


_FRESH = {"sqlite": "sqlite_database", "postgresql": "postgres_database", "mariadb": "mariadb_database"}


@pytest.fixture(params=SOURCES.engines)
def database(request: pytest.FixtureRequest) -> DatabaseSettings:
    """A fresh migrated database; the test runs once for each engine."""
    settings: DatabaseSettings = request.getfixturevalue(_FRESH[request.param])
    return settings


@pytest.fixture(params=list(_FRESH))
def any_database(request: pytest.FixtureRequest) -> DatabaseSettings:
    """Like ``database``, on all engines. A module whose statements every engine writes differently says ``database = any_database``."""
    settings: DatabaseSettings = request.getfixturevalue(_FRESH[request.param])
    return settings


@pytest.fixture
def archive_settings(tmp_path: Path) -> ArchiveSettings:
    return ArchiveSettings(path=tmp_path / "archive")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceRunner]:
    """Starts services as processes: ``await service.start("ingest", nats_settings)``."""
    runner = ServiceRunner(tmp_path)
    yield runner
    runner.end_all()


class _DeadTasks(logging.Handler):
    """Collects asyncio's reports of tasks whose exception was never retrieved."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "exception was never retrieved" in record.getMessage():
            error = record.exc_info[1] if record.exc_info else None
            self.found.append(f"{record.getMessage()} {error!r}")


@pytest.fixture(scope="session")
def _dead_tasks() -> Iterator[_DeadTasks]:
    collector = _DeadTasks()
    logging.getLogger("asyncio").addHandler(collector)
    yield collector
    logging.getLogger("asyncio").removeHandler(collector)


@pytest.fixture(autouse=True, scope="module")
def _no_task_of_a_module_dies_unseen(_dead_tasks: _DeadTasks) -> Iterator[None]:
    """Like ``no_lost_failures``, for tasks that live as long as a module."""
    gc.collect()
    gc.freeze()  # excludes existing objects, so that the collection after each test of the module is cheap
    _dead_tasks.found.clear()
    yield
    gc.collect()
    _fail_with(_dead_tasks)


@pytest.fixture(autouse=True)
def _no_task_dies_unseen(_dead_tasks: _DeadTasks) -> Iterator[None]:
    """A background task whose exception was never retrieved fails the test."""
    _dead_tasks.found.clear()
    yield
    gc.collect()  # asyncio reports it when the task is collected
    _fail_with(_dead_tasks)


def _fail_with(dead: _DeadTasks) -> None:
    if dead.found:
        pytest.fail("\n".join(dead.found), pytrace=False)


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    """An S3 server with the bucket ``archive``."""
    server = SeaweedFs(tmp_path_factory.mktemp("weed"))
    server.start()
    server.create_bucket("archive")
    yield server
    server.kill()
