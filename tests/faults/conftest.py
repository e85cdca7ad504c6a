from collections.abc import Callable

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.processes import ServiceRunner
from tests.support.stack import Stack

MakeStack = Callable[..., Stack]


@pytest.fixture
def make_stack(service: ServiceRunner, archive_settings: ArchiveSettings) -> MakeStack:
    """``make_stack(nats, database, names=…)``: services that are not started yet."""

    def make(nats: NatsSettings, database: DatabaseSettings, **options: object) -> Stack:
        return Stack(nats, database, archive_settings, service, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def stack(make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings) -> Stack:
    """All services on each database, not started yet."""
    return make_stack(site, database)
