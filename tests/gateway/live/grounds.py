"""Gateways on rows written by the test."""

from contextlib import AsyncExitStack
from typing import Any

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.live.projected import Projected
from tests.gateway.stack import Client, gateway

FAST: dict[str, Any] = {"live_poll_s": 0.02}


class Ground:
    def __init__(self, api: Client, projected: Projected) -> None:
        self.api = api
        self.projected = projected

    async def number(self, metric: str, **labels: str) -> float:
        _, text = await self.api.get("/metrics")
        wanted = metric + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "} " if labels else " ")
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(wanted)), 0.0)


class Grounds:
    """A gateway on rows written by the test."""

    def __init__(
        self, stack: AsyncExitStack, nats: NatsSettings, database: DatabaseSettings, archive: ArchiveSettings, projected: Projected
    ) -> None:
        self._stack = stack
        self._parts = (nats, database, archive)
        self._projected = projected

    async def up(self, **settings: Any) -> Ground:
        return Ground(await self._stack.enter_async_context(gateway(*self._parts, **(FAST | settings))), self._projected)
