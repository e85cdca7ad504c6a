from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from shared.database.engine import opened
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.live.grounds import FAST, Grounds
from tests.gateway.live.projected import Projected
from tests.gateway.stack import Client, gateway, jobstore


@pytest.fixture
async def live(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway with jobstore behind it, on each database, that looks for changes often."""
    async with jobstore(site, database), gateway(site, database, archive_settings, **FAST) as api:
        await until_ready(api)
        yield api


@pytest.fixture
async def one_live(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """As ``live``, on SQLite only."""
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings, **FAST) as api:
        await until_ready(api)
        yield api


@pytest.fixture
async def grounds(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> AsyncIterator[Grounds]:
    """Gateways without jobstore, on rows that the test writes."""
    async with opened(sqlite_database) as engine, AsyncExitStack() as stack:
        projected = Projected(engine)
        await projected.begin()
        yield Grounds(stack, nats_settings, sqlite_database, archive_settings, projected)
