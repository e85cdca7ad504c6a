"""Publishes events so that each is in the log exactly once, or the caller knows that it may not be.

Acknowledgements come to an inbox of our own: ``publish_async`` of nats-py 2.16 makes a task for each message, and
keeps the slot of an acknowledgement that was lost with the connection forever.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from shared.backoff import Backoff
from shared.broker.envelope import Envelope
from shared.domain import reasons
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

ACK_TIMEOUT_S = 5.0
HEADER_FRAME = 64  # version line and line ends
FAILING_AFTER_S = 3.0  # electing another leader takes less
MAX_IN_FLIGHT = 1000  # messages waiting for acknowledgement
MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024  # total size of their bodies


class NoStream(Unavailable):
    """No stream captures the subject, or its stream has no leader."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as sent."""

    subject: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size that the broker checks; above its limit it closes the connection. nats-py checks the body only."""
        headers = sum(len(k) + len(v) + 4 for k, v in self.headers.items()) + HEADER_FRAME if self.headers else 0
        return len(self.body) + headers


class Publisher:
    """Publishes to streams and awaits the broker's acknowledgements. One per connection; safe to share between tasks."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._inbox = client.new_inbox()
        self._subscribed = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._failing: tuple[float, str] | None = None  # since when, and why

    async def require(self) -> None:
        """Raises Unavailable when publishing has failed for a while, and nothing has been acknowledged since."""
        if self._failing is not None and time.monotonic() - self._failing[0] >= FAILING_AFTER_S:
            raise Unavailable(f"the broker does not acknowledge messages: {self._failing[1]}")

    async def publish(self, envelopes: Sequence[Envelope], *, deadline_s: float = 60.0) -> list[int]:
        """Store every envelope, in order; returns their sequences in the log (those of the first copy for duplicates).

        What is not acknowledged is published again under the same message id, with growing pauses.
        Raises Unavailable when ``deadline_s`` passes first: then some may be stored, and publishing all of them
        again is right. Raises Refused when one is larger than the broker takes; the others may be stored.
        """
        messages = [Outgoing(e.subject(self._prefix), e.body(), e.headers()) for e in envelopes]
        return await self.publish_raw(messages, deadline_s=deadline_s)

    async def publish_raw(self, messages: Sequence[Outgoing], *, deadline_s: float = 60.0, waits_for_stream: bool = True) -> list[int]:
        """Like ``publish``. A message without an id may be stored twice when its acknowledgement is lost.

        Without ``waits_for_stream``, raises NoStream at once for a subject that no stream captures.
        """
        sequences: list[int] = []
        give_up = asyncio.get_running_loop().time() + deadline_s
        for some in _windows(messages):
            sequences += await self._publish_some(some, give_up, waits_for_stream=waits_for_stream)
        return sequences

    async def _publish_some(self, messages: Sequence[Outgoing], give_up: float, *, waits_for_stream: bool) -> list[int]:
        loop = asyncio.get_running_loop()
        acks: dict[int, int] = {}
        pause = Backoff(first_s=0.1, most_s=2.0)
        while True:
            missing = [index for index in range(len(messages)) if index not in acks]
            failure = await self._try(messages, missing, acks)
            self._failing = None if failure is None else (self._failing[0] if self._failing else time.monotonic(), _why(failure))
            if len(acks) == len(messages):
                return [acks[index] for index in range(len(messages))]
            if isinstance(failure, NoStream) and not waits_for_stream:
                raise failure
            left_s = give_up - loop.time()
            if left_s <= 0:
                count = f"{len(messages) - len(acks)} of {len(messages)} messages"
                raise Unavailable(f"the broker did not acknowledge {count}: {_why(failure)}") from failure
            log.warning("publish_retried", missing=len(messages) - len(acks), error=repr(failure))
            await asyncio.sleep(min(pause.next_s(), left_s))

    async def _try(self, messages: Sequence[Outgoing], missing: list[int], acks: dict[int, int]) -> Exception | None:
        """Publish all messages once and collect the acknowledgements that arrive; returns the first failure."""
        loop = asyncio.get_running_loop()
        futures: dict[str, tuple[int, asyncio.Future[int]]] = {}
        failure: Exception | None = None
        try:
            await self._subscribe()
            for index in missing:
                message = messages[index]
                if message.size > self._client.max_payload:
                    raise MaxPayloadError
                reply = f"{self._inbox}.{next(self._numbers)}"
                future: asyncio.Future[int] = loop.create_future()
                futures[reply] = (index, future)
                self._waiting[reply] = future
                headers = dict(message.headers) or None  # nats-py keeps and modifies the mapping
                await self._client.publish(message.subject, message.body, reply=reply, headers=headers)
            if futures:
                await asyncio.wait([future for _, future in futures.values()], timeout=ACK_TIMEOUT_S)
        except MaxPayloadError as e:
            raise Refused(reasons.TOO_LARGE, f"the message is larger than the broker's limit of {self._client.max_payload} bytes") from e
        except (NatsError, OSError) as e:
            failure = e
        finally:
            for reply in futures:
                self._waiting.pop(reply, None)
        for index, future in futures.values():
            if not future.done():
                future.cancel()
                failure = failure or TimeoutError("no acknowledgement")
            elif (error := future.exception()) is None:
                acks[index] = future.result()
            else:
                failure = failure or (error if isinstance(error, Exception) else None)
        return failure

    async def _subscribe(self) -> None:
        async with self._subscribed:
            if self._subscription is None:
                self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._acknowledged)

    async def _acknowledged(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject, None)
        if future is None or future.done():
            return
        if not message.data:
            future.set_exception(NoStream("no stream captures the message"))
            return
        answer = orjson.loads(message.data)
        if "error" in answer:
            future.set_exception(Unavailable(f"the broker refuses the message: {answer['error'].get('description')}"))
        else:
            future.set_result(answer["seq"])


def _why(failure: Exception | None) -> str:
    return str(failure) or type(failure).__name__


def _windows(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Split into chunks of bounded count and size, in order."""
    first, size = 0, 0
    for index, message in enumerate(messages):
        if index > first and (index - first >= MAX_IN_FLIGHT or size + len(message.body) > MAX_IN_FLIGHT_BYTES):
            yield messages[first:index]
            first, size = index, 0
        size += len(message.body)
    if first < len(messages):
        yield messages[first:]
