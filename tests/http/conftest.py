from collections.abc import Awaitable, Callable

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.processes import ServiceProcess, ServiceRunner
from tests.support.tokens import PUBLIC_KEY

StartGateway = Callable[..., Awaitable[ServiceProcess]]


@pytest.fixture
def start_gateway(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, service: ServiceRunner
) -> StartGateway:
    """``start_gateway(head_timeout_s=1)`` starts a gateway process with these settings."""

    async def start(**settings: object) -> ServiceProcess:
        variables = {f"JOBTIDE_GATEWAY_{name}".upper(): str(value) for name, value in settings.items()}
        return await service.start(
            "gateway", nats_settings, sqlite_database, archive_settings, JOBTIDE_GATEWAY_JWT_PUBLIC_KEY=PUBLIC_KEY, **variables
        )

    return start
