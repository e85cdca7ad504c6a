"""An engine on a fresh database, for tests that apply events without a broker."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import opened
from shared.settings import DatabaseSettings


@pytest.fixture
async def engine(database: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    async with opened(database) as opened_engine:
        yield opened_engine
