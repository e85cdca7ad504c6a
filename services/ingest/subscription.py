"""Connects ingest to FastStream, which owns the subscription: reading loop, handler, orderly shutdown.

FastStream 0.7.8 opens its own connection, lets nats-py declare the consumer, waits until a batch is full or its time
is over, and retries silently when the consumer was deleted. Three overridden methods change that: it uses the service's
connection, reads through ``Puller``, handles the available messages as a batch, and reports a lost consumer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from services.ingest.handler import hand_back
from shared.backoff import Backoff
from shared.broker.puller import Puller, pulling
from shared.broker.streams import Durable
from shared.errors import ConsumerLost, Unavailable

log = structlog.get_logger()

BATCH_S = 60.0  # never reached: a batch ends as soon as no more messages are available
STOP_GRACE_S = 10.0


class _Pull(JetStreamContext.PullSubscription):
    """The subscription that FastStream fetches from. ``in_hand`` collects messages that were fetched but not yet handled."""

    def __init__(self, puller: Puller, in_hand: list[Msg], lost: asyncio.Event, on_turn: Callable[[], None]) -> None:
        self._puller = puller
        self._in_hand = in_hand
        self._lost = lost
        self._on_turn = on_turn
        self._batch_is_complete = False
        self._pause = Backoff(first_s=0.1, max_s=2.0)

    async def fetch(self, batch: int = 1, timeout: float | None = None, heartbeat: float | None = None) -> list[Msg]:
        """Raises nats.errors.TimeoutError after each batch and after a second without messages: FastStream then ends its batch."""
        if self._batch_is_complete:
            self._batch_is_complete = False
            raise NatsTimeoutError
        self._on_turn()
        try:
            messages = await self._puller.batch(batch)
        except Unavailable as e:
            if isinstance(e, ConsumerLost):
                self._lost.set()
            await asyncio.sleep(self._pause.next_s())
            raise NatsTimeoutError from None
        if not messages:
            raise NatsTimeoutError
        self._pause.reset()
        self._in_hand.extend(messages)
        self._batch_is_complete = True
        return messages

    async def unsubscribe(self) -> None:
        """Does nothing, since ``subscribed`` closes the subscription."""


class _JetStream(JetStreamContext):
    def __init__(self, client: Client, pull: _Pull) -> None:
        super().__init__(client)
        self._pull = pull

    async def pull_subscribe(self, *_: Any, **__: Any) -> JetStreamContext.PullSubscription:
        return self._pull


class _Broker(NatsBroker):
    """A FastStream broker on the service's connection, which it must not close."""

    def __init__(self, client: Client, pull: _Pull) -> None:
        super().__init__(apply_types=False, ack_policy=AckPolicy.MANUAL, graceful_timeout=STOP_GRACE_S, logger=None)
        self._client = client
        self._pull = pull

    async def _connect(self) -> Client:
        self.config.connect(self._client)
        self.config.connection_state.connect(self._client, _JetStream(self._client, self._pull))
        return self._client

    async def stop(self, *exc: Any) -> None:
        self._connection = None  # otherwise the base class would drain it
        await super().stop(*exc)


async def _raw_messages(message: StreamMessage[list[Msg]]) -> list[Msg]:
    return message.raw_message


@asynccontextmanager
async def subscribed(
    client: Client, queue: Durable, batch: int, handle: Callable[[list[Msg]], Awaitable[None]], on_turn: Callable[[], None]
) -> AsyncIterator[asyncio.Event]:
    """Pass batches of an existing consumer to ``handle``, one at a time. Yields an event that is set when the consumer is lost.

    On exit, the batch being handled is finished and other fetched messages are handed back. ``on_turn`` is called at
    each fetch. Raises Unavailable.
    """
    in_hand: list[Msg] = []
    lost = asyncio.Event()
    async with pulling(client, queue.stream, queue.name) as puller:
        broker = _Broker(client, _Pull(puller, in_hand, lost, on_turn))
        subscriber = broker.subscriber(
            queue.subjects[0],
            durable=queue.name,
            stream=JStream(queue.stream, declare=False),
            pull_sub=PullSub(batch_size=batch, timeout=BATCH_S, batch=True),
            decoder=_raw_messages,
            ack_policy=AckPolicy.MANUAL,
        )

        @subscriber
        async def handle_batch(messages: list[Msg]) -> None:
            await handle(messages)
            in_hand.clear()

        try:
            await broker.start()
            yield lost
        finally:
            try:
                await asyncio.wait_for(broker.stop(), STOP_GRACE_S + 1)
            except (NatsError, TimeoutError, OSError) as e:
                log.warning("intake_not_closed", error=repr(e))
            await hand_back([*in_hand, *await puller.close()])
