from collections.abc import AsyncIterator

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.stack import Client, gateway, jobstore
from tests.support.waiting import until


@pytest.fixture
async def api(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway with jobstore behind it, on each database."""
    async with jobstore(site, database), gateway(site, database, archive_settings) as client:
        await until_ready(client)
        yield client


@pytest.fixture
async def sqlite_api(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """As ``api``, on SQLite only: for what has nothing to do with the database."""
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings) as client:
        await until_ready(client)
        yield client


async def until_ready(client: Client) -> None:
    async def ready() -> bool:
        return (await client.get("/readyz"))[0] == 200 and (await client.get("/api/clusters/"))[0] == 200

    await until(ready, 20)


@pytest.fixture
async def bodies(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway without jobstore: for what is refused before anything is published."""
    async with gateway(site, sqlite_database, archive_settings) as client:
        await until_ready(client)
        yield client
