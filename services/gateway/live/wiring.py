"""The parts that push changes to clients, put together."""

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.frame.settings import GatewaySettings
from services.gateway.live.clients import LiveClients
from services.gateway.live.feed import Feed
from services.gateway.numbers import LiveNumbers


@dataclass(frozen=True, slots=True)
class Live:
    feed: Feed
    clients: LiveClients
    numbers: LiveNumbers

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``, with which every connection that follows changes ends."""
        await self.feed.run(stop)


def make_live(settings: GatewaySettings, engine: AsyncEngine, registry: CollectorRegistry) -> Live:
    numbers = LiveNumbers(registry)
    feed = Feed(engine, numbers, poll_s=settings.live_poll_s, most_kept=settings.live_kept)
    return Live(feed, LiveClients(numbers, settings.live_clients), numbers)
