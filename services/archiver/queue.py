"""The work queue: a durable consumer of the events that affect the archive."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo
from nats.js.errors import APIError, NotFoundError

from services.archiver.settings import Settings
from shared.broker.cursor import LogState, log_state
from shared.broker.envelope import read
from shared.broker.puller import Puller, pulling
from shared.broker.streams import EVENTS, Durable, ensure_consumer, event_filter
from shared.domain.events import (
    JobAdviceMuted,
    JobAdvised,
    JobArchiveRequested,
    JobMetadataEdited,
    JobStopped,
    JobTagged,
    JobUntagged,
    TagRemoved,
)
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import ConsumerLost, Unavailable

log = structlog.get_logger()

QUEUE_NAME = "archiver"
JOB_EVENTS = (JobStopped, JobArchiveRequested, JobTagged, JobUntagged, JobAdvised, JobAdviceMuted, JobMetadataEdited)


def durable(settings: Settings) -> Durable:
    return Durable(
        stream=settings.nats.stream(EVENTS),
        name=QUEUE_NAME,
        subjects=(
            *(event_filter(settings.nats, event.name) for event in JOB_EVENTS),
            f"{settings.nats.prefix}.{TagRemoved.name}",  # has no cluster
        ),
        ack_wait_s=settings.archiver.ack_wait_s,
        max_ack_pending=settings.archiver.max_waiting,
    )


@dataclass(eq=False, slots=True)
class Delivery:
    """A fetched message, to be acknowledged or handed back exactly once."""

    message: Msg
    record: Recorded | Unreadable
    attempt: int  # number of deliveries, including this one
    stream_created: str

    @property
    def sequence(self) -> int:
        return self.record.sequence

    async def ack(self) -> None:
        await self._answer(self.message.ack)

    async def hand_back(self, delay_s: float | None = None) -> None:
        """Request redelivery after ``delay_s``."""
        await self._answer(lambda: self.message.nak(delay=delay_s))

    async def in_progress(self) -> None:
        """Restart the acknowledgement wait."""
        with suppress(NatsError, OSError):
            await self.message.in_progress()

    @staticmethod
    async def _answer(send: Callable[[], Awaitable[None]]) -> None:
        """Errors are ignored: a lost answer leads to a redelivery, which is recognised."""
        with suppress(NatsError, OSError):
            await send()


class WorkQueue:
    """The bound consumer. Call ``bind`` again after ConsumerLost."""

    def __init__(self, client: Client, durable: Durable) -> None:
        self._client = client
        self._durable = durable
        self._open = AsyncExitStack()
        self._puller: Puller | None = None
        self.state = LogState("", 0, 0)

    async def bind(self, stop: asyncio.Event | None = None) -> None:
        """Create the consumer if it is missing, and subscribe. Once ``stop`` is set, no message is waited for. Raises Unavailable."""
        await self.release()
        state = await log_state(self._client, self._durable.stream)
        try:
            done = await ensure_consumer(self._client.jetstream(timeout=5), self._durable)
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"cannot bind the consumer {self._durable.name} of {self._durable.stream}: {e!r}") from e
        # No read-ahead: buffered messages are not available to other replicas.
        reading = pulling(self._client, self._durable.stream, self._durable.name, stop, reads_ahead=False)
        self._puller = await self._open.enter_async_context(reading)
        self.state = state
        if done:
            log.info("archive_queue_bound", consumer=self._durable.name, done=done)

    async def release(self) -> None:
        """Unsubscribe, and hand back messages that were not fetched."""
        if self._puller is not None:
            await self._hand_back(await self._puller.close())
        await self._open.aclose()
        self._puller = None

    async def hand_back_buffered(self) -> None:
        """Hand back messages that arrived and were not fetched."""
        if self._puller is not None:
            await self._hand_back(self._puller.drop())

    @staticmethod
    async def _hand_back(messages: list[Msg]) -> None:
        for message in messages:
            with suppress(NatsError, OSError):
                await message.nak()

    async def fetch(self, limit: int) -> list[Delivery]:
        """Up to ``limit`` messages as soon as one is available; empty after a second without any.

        Raises ConsumerLost if the consumer was deleted, Unavailable if the broker is unavailable.
        """
        assert self._puller is not None
        return [self._delivery(message) for message in await self._puller.batch(limit)]

    def _delivery(self, message: Msg) -> Delivery:
        metadata = message.metadata
        record = read(metadata.sequence.stream, message.headers, message.data, metadata.timestamp)
        return Delivery(message, record, metadata.num_delivered or 1, self.state.created)

    async def last_sequence(self) -> int:
        """Last sequence of the whole stream. Raises Unavailable."""
        return (await log_state(self._client, self._durable.stream)).last_sequence

    async def info(self) -> ConsumerInfo:
        """Raises Unavailable or ConsumerLost."""
        try:
            info: ConsumerInfo = await self._client.jetstream(timeout=2).consumer_info(self._durable.stream, self._durable.name)
        except NotFoundError as e:
            raise ConsumerLost(f"the consumer {self._durable.name} of {self._durable.stream} does not exist") from e
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker did not answer about the consumer {self._durable.name}: {e!r}") from e
        return info
