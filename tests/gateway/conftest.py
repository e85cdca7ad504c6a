from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from shared.database.engine import opened
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.live.grounds import FAST, Grounds
from tests.gateway.live.projected import Projected
from tests.gateway.stack import Client, gateway, jobstore
from tests.support.waiting import until


@pytest.fixture
async def api(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway with jobstore, on each database."""
    async with jobstore(site, database), gateway(site, database, archive_settings) as client:
        await until_ready(client)
        yield client


@pytest.fixture
async def sqlite_api(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """``api`` on SQLite only, for behaviour that does not depend on the database."""
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings) as client:
        await until_ready(client)
        yield client


async def until_ready(client: Client) -> None:
    async def ready() -> bool:
        return (await client.get("/readyz"))[0] == 200 and (await client.get("/api/clusters/"))[0] == 200

    await until(ready, 20)


@pytest.fixture
async def bodies(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway without jobstore: for requests that are refused before anything is published."""
    async with gateway(site, sqlite_database, archive_settings) as client:
        await until_ready(client)
        yield client


@pytest.fixture
async def live(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway with jobstore, on each database, that polls for changes often."""
    async with jobstore(site, database), gateway(site, database, archive_settings, **FAST) as api:
        await until_ready(api)
        yield api


@pytest.fixture
async def one_live(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """``live`` on SQLite only."""
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings, **FAST) as api:
        await until_ready(api)
        yield api


@pytest.fixture
async def grounds(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> AsyncIterator[Grounds]:
    """Gateways without jobstore, on rows written by the test."""
    async with opened(sqlite_database) as engine, AsyncExitStack() as stack:
        projected = Projected(engine)
        await projected.begin()
        yield Grounds(stack, nats_settings, sqlite_database, archive_settings, projected)
