"""The gateway's broker connection. While the broker is unavailable, reads continue and writes fail immediately."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import structlog
from nats.aio.client import Client

from services.gateway.errors import bad_request
from services.gateway.writing.services import ServiceReports
from shared.broker.clusters import ClusterDirectory
from shared.broker.connection import connected
from shared.broker.probe import StoreProbe
from shared.broker.publisher import Publisher
from shared.broker.reports import reporting
from shared.domain.clusters import Cluster
from shared.errors import Unavailable
from shared.health import Health
from shared.settings import NatsSettings

log = structlog.get_logger()


class BrokerLink:
    """Connects in the background. Operations raise Unavailable while the broker is unavailable."""

    def __init__(self, nats: NatsSettings, on_change: Callable[[bool], None], health: Health) -> None:
        self.nats = nats
        self.services = ServiceReports(nats)
        self._health = health
        self._probe = StoreProbe(nats, "gateway")
        self._on_change = on_change
        self._client: Client | None = None
        self._publisher: Publisher | None = None
        self._directory: ClusterDirectory | None = None

    async def keep(self, stop: asyncio.Event) -> None:
        """Hold the connection and follow the cluster definitions until ``stop``."""
        try:
            async with connected(self.nats, "gateway", stop, on_change=self._changed) as client, AsyncExitStack() as stack:
                self._publisher = Publisher(client, self.nats.prefix)
                self._directory = ClusterDirectory(client, self.nats)
                self._client = client
                await self.services.listen(client)
                await stack.enter_async_context(reporting(client, self.nats, self._health))
                try:
                    await self._directory.refresh()
                except Unavailable as e:
                    log.warning("clusters_not_read", why=str(e))
                await self._directory.keep_fresh(stop)
        except Unavailable:
            if not stop.is_set():
                raise
        finally:
            self._client = None

    def _changed(self, is_connected: bool) -> None:
        self.services.connection_changed(is_connected)
        self._on_change(is_connected)

    @property
    def client(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise Unavailable("the broker is away")
        return self._client

    async def require_store(self) -> None:
        """Raises Unavailable with the reason if the broker does not store messages, such as a full store or disk."""
        await self._probe.require(self.client)

    @property
    def publisher(self) -> Publisher:
        _ = self.client
        assert self._publisher is not None
        return self._publisher

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """All definitions as last read. Raises Unavailable before the first reading."""
        if self._directory is None or not self._directory.is_read:
            raise Unavailable("the cluster definitions were not read yet, the broker is away")
        return self._directory

    async def clusters_with(self, name: str) -> Mapping[str, Cluster]:
        """All definitions, refreshed first if ``name`` is not among them."""
        if self._directory is None:
            raise Unavailable("the cluster definitions were not read yet, the broker is away")
        if name not in self._directory:
            await self._directory.refresh()
        return self._directory

    def cluster(self, name: str) -> Cluster:
        """Raises RequestError (400) for an unknown one."""
        found = self.clusters.get(name)
        if found is None:
            raise bad_request(f"unknown cluster: {name}")
        return found
