"""Wires the parts that push changes to clients."""

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.frame.settings import GatewaySettings
from services.gateway.live.clients import LiveClients
from services.gateway.live.feed import Feed, LiveNumbers
from services.gateway.live.refused import RefusedCounts


@dataclass(frozen=True, slots=True)
class Live:
    feed: Feed
    clients: LiveClients
    numbers: LiveNumbers
    refused: RefusedCounts

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop``, which ends every connection that follows changes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.feed.run(stop), name="feed")
            tasks.create_task(self.refused.run(stop), name="rejections")


def make_live(settings: GatewaySettings, engine: AsyncEngine, registry: CollectorRegistry) -> Live:
    numbers = LiveNumbers(registry)
    feed = Feed(engine, numbers, poll_s=settings.live_poll_s, max_buffered=settings.live_buffered)
    return Live(feed, LiveClients(numbers, settings.live_clients), numbers, RefusedCounts(engine, feed))
