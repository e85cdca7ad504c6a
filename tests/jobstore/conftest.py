"""An engine on a fresh database for tests that apply events without a broker, and logging as in services."""

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import opened
from shared.settings import DatabaseSettings


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Without configuration, structlog renders tracebacks with all local variables, which takes longer than the tests."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
async def engine(database: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    async with opened(database) as opened_engine:
        yield opened_engine
