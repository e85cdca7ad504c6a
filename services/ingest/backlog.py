"""Watches the age of the oldest unread intake message, and reports messages that expired unread."""

import asyncio
from collections.abc import Callable

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from prometheus_client import CollectorRegistry

from services.ingest.progress import Progress, Removed
from shared import prometheus
from shared.backoff import sleep_unless
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.streams import Durable
from shared.broker.unread import Backlog, backlog_of
from shared.domain import reasons
from shared.domain.events import IntakeRejected
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

LOOK_EVERY_S = 5.0


class BacklogWatch:
    """Checks the queue every ``LOOK_EVERY_S``. Any number of replicas may do so: each rejection is published once."""

    def __init__(self, client: Client, queue: Durable, publisher: Publisher, progress: Progress, registry: CollectorRegistry) -> None:
        self._client = client
        self._progress = progress
        self._queue = queue
        self._publisher = publisher
        self._age_s = prometheus.INGEST_OLDEST_UNREAD_SECONDS.gauge(registry)

    async def watch(self, stop: asyncio.Event, on_turn: Callable[[], None]) -> None:
        """Check until ``stop``."""
        is_away = False
        while not await sleep_unless(stop, LOOK_EVERY_S):
            on_turn()
            try:
                await self.advance()
                await self.look()
                is_away = False
            except (Unavailable, Refused) as e:
                if not is_away:
                    log.warning("backlog_unknown", why=str(e))
                is_away = True

    async def require_young(self) -> None:
        """Raises Unavailable when the oldest unread message has reached half the age at which the broker removes it."""
        backlog = await self.look()
        if backlog.is_old:
            raise Unavailable(str(backlog))

    async def look(self) -> Backlog:
        """Raises Unavailable."""
        try:
            backlog = await backlog_of(self._client.jetstream(timeout=2), self._queue.stream, self._queue.name)
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not answer for {self._queue.stream}: {e!r}") from e
        self._age_s.set(backlog.age_s)
        return backlog

    async def advance(self) -> None:
        """Record which messages are finished, and publish a rejection for those that were removed first. Raises Unavailable and Refused."""
        await self._progress.advance(self._report)

    async def _report(self, removed: Removed) -> None:
        log.error("intake_expired_unread", stream=self._queue.stream, first=removed.first, last=removed.last)
        await self._publisher.publish([_rejection(removed)], deadline_s=LOOK_EVERY_S)


def _rejection(removed: Removed) -> Envelope:
    """Identical in every replica that publishes it."""
    event = IntakeRejected(
        code=reasons.EXPIRED_UNREAD,
        text=f"the messages {removed.first} to {removed.last} left the intake before they were recorded as read",
        subject="",
        stream=removed.stream,
        sequence=removed.first,
        line=0,
        excerpt="",
    )
    return Envelope(event, f"expired:{removed.stream}:{removed.first}-{removed.last}", "/intake", removed.seen_at)
