"""The services under test, with settings that make faults show quickly."""

from collections.abc import Callable

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.processes import ServiceProcess, ServiceRunner

QUICK = {"JOBTIDE_INGEST_ACK_WAIT_S": "5", "JOBTIDE_INGEST_BATCH": "50", "JOBTIDE_JOBSTORE_BATCH": "50"}

Prepare = Callable[[str, NatsSettings, DatabaseSettings], ServiceProcess]


@pytest.fixture
def prepare(service: ServiceRunner, archive_settings: ArchiveSettings) -> Prepare:
    """A service by name, not started, with small batches: more moments at which something can go wrong."""

    def one(name: str, nats: NatsSettings, database: DatabaseSettings) -> ServiceProcess:
        return service.prepare(name, nats, database, archive_settings, **QUICK)

    return one
