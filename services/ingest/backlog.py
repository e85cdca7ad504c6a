"""How old the oldest unread message of the intake is, and what the broker removed before anybody read it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError
from prometheus_client import CollectorRegistry

from shared import metrics
from shared.backoff import sleep_unless
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.streams import Durable, identity, oldest_unread
from shared.domain import reasons
from shared.domain.events import IntakeRejected
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

LOOK_EVERY_S = 5.0


class Backlog:
    """Looks at the queue from time to time. Any number of replicas may look: they publish the same rejections."""

    def __init__(self, client: Client, queue: Durable, publisher: Publisher, registry: CollectorRegistry) -> None:
        self._client = client
        self._queue = queue
        self._publisher = publisher
        self._age_s = metrics.INGEST_OLDEST_UNREAD_SECONDS.gauge(registry)
        self._reported: tuple[str, int] = ("", 0)  # stream, and the last sequence that was reported as removed

    async def watch(self, stop: asyncio.Event, on_turn: Callable[[], None]) -> None:
        """Look until ``stop``."""
        is_away = False
        while not await sleep_unless(stop, LOOK_EVERY_S):
            on_turn()
            try:
                await self.report_removed()
                await self.age_s()
                is_away = False
            except (Unavailable, Refused) as e:
                if not is_away:
                    log.warning("backlog_unknown", why=str(e))
                is_away = True

    async def require_young(self) -> None:
        """Raises Unavailable when the oldest unread message has reached half the age at which the broker removes it."""
        age_s, limit_s = await self.age_s()
        if limit_s and age_s > limit_s / 2:
            raise Unavailable(f"the oldest unread message of {self._queue.stream} is {age_s:.0f} s old; it expires after {limit_s:.0f} s")

    async def age_s(self) -> tuple[float, float]:
        """The age of the oldest unread message, 0 without any, and the age at which it expires, 0 for never. Raises Unavailable."""
        js = self._client.jetstream(timeout=2)
        try:
            info = await js.stream_info(self._queue.stream)
            consumer = await js.consumer_info(self._queue.stream, self._queue.name)
            stored_at = await oldest_unread(js, self._queue.stream, consumer)
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not answer for {self._queue.stream}: {e!r}") from e
        age_s = max(0.0, time.time() - stored_at.timestamp()) if stored_at is not None else 0.0
        self._age_s.set(age_s)
        return age_s, info.config.max_age or 0.0

    async def report_removed(self) -> None:
        """Publish one rejection for a range of messages that left the stream unread. Raises Unavailable."""
        js = self._client.jetstream(timeout=5)
        try:
            consumer = await js.consumer_info(self._queue.stream, self._queue.name)
            info = await js.stream_info(self._queue.stream)  # after: what is delivered meanwhile is not missing
        except NotFoundError:
            return  # a new consumer begins at the first message that is there
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not answer for {self._queue.stream}: {e!r}") from e
        stream = f"{self._queue.stream}@{identity(info)}"
        delivered = (consumer.delivered.stream_seq or 0) if consumer.delivered else 0
        reported = self._reported[1] if self._reported[0] == stream else 0
        first, last = max(delivered, reported) + 1, info.state.first_seq - 1
        if last < first:
            return
        log.error("intake_expired_unread", stream=self._queue.stream, first=first, last=last)
        await self._publisher.publish([_rejection(stream, first, last)], deadline_s=LOOK_EVERY_S)
        self._reported = (stream, last)


def _rejection(stream: str, first: int, last: int) -> Envelope:
    event = IntakeRejected(
        code=reasons.EXPIRED_UNREAD,
        text=f"the messages {first} to {last} left the intake before they were read",
        subject="",
        stream=stream,
        sequence=first,
        line=0,
        excerpt="",
    )
    return Envelope(event, f"expired:{stream}:{first}-{last}", "/intake", datetime.now(UTC))
