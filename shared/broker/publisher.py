"""Publishes events so that each is in the log exactly once, or the caller knows that it may not be.

Messages are sent in batches, and acknowledgements arrive at an inbox of our own: ``publish_async`` of nats-py 2.16 creates a task
for each message, and never frees the slot of an acknowledgement that was lost with the connection.
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
from shared.broker.bulk import frame, send, subscribe
from shared.broker.envelope import Envelope
from shared.domain import reasons
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

ACK_TIMEOUT_S = 5.0
SLOWEST_BYTES_PER_S = 1024 * 1024  # of a connection: an attempt waits longer for large messages, which have to be sent first
MIN_ACK_TIMEOUT_S = 0.1  # for an attempt just before the deadline
FAILING_AFTER_S = 3.0  # longer than the election of a leader
FORGOTTEN_AFTER_S = 15.0  # longer than the pause between two attempts of one publish
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
        """The size that the broker compares with its limit."""
        return frame(self.subject, self.body, headers=self.headers)[1]


@dataclass(frozen=True, slots=True)
class _Failing:
    """Consecutive failed attempts: when the first and the last one failed, by the monotonic clock."""

    since: float
    last: float
    why: str

    def is_recent(self, now: float) -> bool:
        return now - self.last <= FORGOTTEN_AFTER_S


class _Attempt:
    """Messages published once, with one future for the acknowledgements of all.

    ``acks`` are sequences by the index of the message; ``waiting`` has the index by the subject of each missing acknowledgement.
    """

    def __init__(self, acks: dict[int, int], messages: int) -> None:
        self.waiting: dict[str, int] = {}
        self.failure: Exception | None = None  # the first one
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks = acks
        self._left = messages

    def settle(self, reply: str, outcome: int | Exception) -> None:
        index = self.waiting.pop(reply)
        if isinstance(outcome, int):
            self._acks[index] = outcome
        else:
            self.failure = self.failure or outcome
        self._left -= 1
        if not self._left and not self.is_over.done():
            self.is_over.set_result(None)


class Publisher:
    """Publishes to streams and awaits the broker's acknowledgements. One per connection; safe to share between tasks."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._inbox = client.new_inbox()
        self._subscribed = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._numbers = itertools.count()
        self._attempts: dict[str, _Attempt] = {}  # by the subject of each missing acknowledgement
        self._failing: _Failing | None = None

    @property
    def max_payload(self) -> int:
        """The broker's limit for one message including its headers, in bytes."""
        return self._client.max_payload

    async def require(self) -> None:
        """Raises Unavailable when publishing has failed for a while, and nothing has been acknowledged since.

        Only recent failures count: a replica with nothing to publish notices a recovered broker only through ``StoreProbe``.
        """
        failing, now = self._failing, time.monotonic()
        if failing is not None and failing.is_recent(now) and now - failing.since >= FAILING_AFTER_S:
            raise Unavailable(f"the broker does not acknowledge messages: {failing.why}")

    async def publish(self, envelopes: Sequence[Envelope], *, deadline_s: float = 60.0) -> list[int]:
        """Store every envelope, in order; returns their sequences in the log (those of the first copy for duplicates).

        Unacknowledged messages are published again under the same message id, with growing pauses.
        Raises Unavailable when ``deadline_s`` passes first: some may be stored then, and publishing all of them
        again is safe. Raises Refused when one exceeds the broker's limit; the others may be stored.
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
        pause = Backoff(first_s=0.1, max_s=2.0)
        while True:
            missing = [index for index in range(len(messages)) if index not in acks]
            failure = await self._try(messages, missing, acks, min(ACK_TIMEOUT_S, max(MIN_ACK_TIMEOUT_S, give_up - loop.time())))
            self._note(failure)
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

    def _note(self, failure: Exception | None) -> None:
        now, before = time.monotonic(), self._failing
        since = before.since if before is not None and before.is_recent(now) else now
        self._failing = None if failure is None else _Failing(since, now, _why(failure))

    async def _try(self, messages: Sequence[Outgoing], missing: list[int], acks: dict[int, int], timeout_s: float) -> Exception | None:
        """Publish all messages once and collect the acknowledgements that arrive; returns the first failure."""
        attempt = _Attempt(acks, len(missing))
        try:
            await self._subscribe()
            frames = []
            for index in missing:
                message = messages[index]
                reply = f"{self._inbox}.{next(self._numbers)}"
                text, size = frame(message.subject, message.body, reply, message.headers)
                if size > self._client.max_payload:  # the broker would close the connection
                    raise MaxPayloadError
                frames.append(text)
                attempt.waiting[reply] = index
                self._attempts[reply] = attempt
            async with asyncio.timeout(timeout_s + sum(map(len, frames)) / SLOWEST_BYTES_PER_S):
                await send(self._client, frames)
                await attempt.is_over
        except MaxPayloadError as e:
            raise Refused(reasons.TOO_LARGE, f"the message is larger than the broker's limit of {self._client.max_payload} bytes") from e
        except TimeoutError:
            attempt.failure = attempt.failure or TimeoutError("no acknowledgement")
        except (NatsError, OSError) as e:
            attempt.failure = e
        finally:
            for reply in attempt.waiting:
                self._attempts.pop(reply, None)
        return attempt.failure

    async def _subscribe(self) -> None:
        async with self._subscribed:
            if self._subscription is None:
                self._subscription = await subscribe(self._client, f"{self._inbox}.*", self._acknowledged)

    def _acknowledged(self, message: Msg) -> None:
        attempt = self._attempts.pop(message.subject, None)
        if attempt is not None:
            attempt.settle(message.subject, _outcome(message.data))


def _outcome(acknowledgement: bytes) -> int | Exception:
    """The sequence of the stored message, or why it was not stored."""
    if not acknowledgement:
        return NoStream("no stream captures the message")
    answer = orjson.loads(acknowledgement)
    if "error" in answer:
        return Unavailable(f"the broker refuses the message: {answer['error'].get('description')}")
    return int(answer["seq"])


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
