"""Reads a stream from a position that the reader stores itself.

It uses a pull consumer without acknowledgements that exists only in the broker's memory and is discarded in any doubt: the
position stored with the rows is authoritative, and there is no state on the server that could disagree with it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from shared.broker.envelope import excerpt_text, read
from shared.broker.puller import Puller, pulling
from shared.broker.streams import identity
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import Unavailable

log = structlog.get_logger()

INACTIVE_S = 30.0
_TOKENS = 9  # in the reply subject of older brokers
MAX_BATCH_BYTES = 8 * 1024 * 1024  # total of the message bodies; decoded events take about ten times as much memory


class LogState:
    """The state of a stream as the broker reports it. ``began_at`` is the first sequence that it ever had."""

    def __init__(self, created: str, first_sequence: int, last_sequence: int, began_at: int = 1) -> None:
        self.created = created
        self.first_sequence = first_sequence
        self.last_sequence = last_sequence
        self.began_at = began_at


async def log_state(client: Client, stream: str, *, timeout_s: float = 5.0) -> LogState:
    """Raises Unavailable."""
    try:
        info = await client.jetstream(timeout=timeout_s).stream_info(stream)
    except NotFoundError as e:
        raise Unavailable(f"the stream {stream} does not exist; run `jobtide provision`") from e
    except (NatsError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    return LogState(identity(info), info.state.first_seq, info.state.last_seq, info.config.first_seq or 1)


async def broker_time(client: Client, stream: str, *, timeout_s: float = 5.0) -> float:
    """The clock of the broker that leads ``stream``, which also times its messages; Unix seconds. Raises Unavailable."""
    try:
        answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=timeout_s)
        return datetime.fromisoformat(json.loads(answer.data)["ts"]).timestamp()
    except (NatsError, OSError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    except (ValueError, KeyError, TypeError) as e:
        raise Unavailable(f"the broker does not give its time: {excerpt_text(answer.data)}") from e


class Delivery(NamedTuple):
    """The sequence of a message in its stream, its delivery number in the consumer, and when the broker stored it."""

    sequence: int
    number: int
    stored_ns: int

    @property
    def stored_at(self) -> datetime:
        """The same as the timestamp of nats-py, which divides by a float: message ids contain it."""
        return datetime.fromtimestamp(self.stored_ns / 1_000_000_000.0, UTC)


def delivery(message: Msg) -> Delivery:
    """Parse the reply subject; ``Msg.metadata`` takes ten times as long. Raises Unavailable."""
    tokens = message.reply.split(".")
    begin = 5 if len(tokens) == _TOKENS else 7  # newer brokers put domain and account before the stream
    try:
        return Delivery(*map(int, tokens[begin : begin + 3]))
    except (ValueError, TypeError) as e:
        raise Unavailable(f"{message.subject}: a message that no consumer delivered") from e


class Cursor:
    """One open read of a stream."""

    def __init__(self, client: Client, stream: str, puller: Puller, position: int) -> None:
        self._client = client
        self._stream = stream
        self._puller = puller
        self._position = position
        self._delivered = 0
        self._behind_since: int | None = None

    async def batch(self, limit: int, max_bytes: int | None = None) -> list[Recorded | Unreadable]:
        """The next events, in order and without gaps; empty after a quiet second and on stop.

        The batch ends with the event at which the bodies reach ``max_bytes``, by default ``MAX_BATCH_BYTES``.

        Raises Unavailable when reading must restart from the position.
        """
        messages = await self._pull(limit, max_bytes)
        return [_read(message, self._accept(message)) for message in messages]

    async def raw_batch(self, limit: int, max_bytes: int | None = None) -> list[Msg]:
        """Like ``batch``, but returns undecoded messages."""
        messages = await self._pull(limit, max_bytes)
        for message in messages:
            self._accept(message)
        return messages

    async def _pull(self, limit: int, max_bytes: int | None) -> list[Msg]:
        messages = await self._puller.batch(limit, max_bytes or MAX_BATCH_BYTES)
        if not messages:
            if not self._puller.is_ending:
                await self._suspect()
            return []
        self._behind_since = None
        return messages

    async def _suspect(self) -> None:
        """Distinguish a quiet stream from a lost consumer: two empty fetches while the stream has more events mean that it is lost."""
        last_sequence = (await log_state(self._client, self._stream)).last_sequence
        if self._behind_since is not None and self._behind_since == self._position:
            raise Unavailable(f"the reading of {self._stream} stands still at {self._position} of {last_sequence}")
        self._behind_since = self._position if last_sequence > self._position else None

    def _accept(self, message: Msg) -> Delivery:
        found = delivery(message)
        if found.number != self._delivered + 1:
            raise Unavailable(f"{self._stream}: delivery {self._delivered + 1} is missing")
        self._delivered += 1
        self._position = found.sequence
        return found


def _read(message: Msg, found: Delivery) -> Recorded | Unreadable:
    return read(found.sequence, message.headers, message.data, found.stored_at)


@asynccontextmanager
async def read_from(
    client: Client, stream: str, sequence: int, *, applied: int | None = None, stop: asyncio.Event | None = None
) -> AsyncIterator[Cursor]:
    """Read ``stream`` from ``sequence`` on. Raises Unavailable.

    Up to ``applied``, the stream may have no events, as when the last applied event is read again. Once ``stop`` is set, the
    cursor no longer waits for events.
    """
    js = client.jetstream(timeout=5)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(1, sequence),
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=INACTIVE_S,
    )
    try:
        info = await js.add_consumer(stream, config)
    except (NatsError, OSError, TimeoutError) as e:
        raise Unavailable(f"cannot read the stream {stream}: {e!r}") from e
    try:
        async with pulling(client, stream, info.name, stop) as puller:
            yield Cursor(client, stream, puller, sequence - 1 if applied is None else applied)
    finally:
        try:
            await asyncio.wait_for(js.delete_consumer(stream, info.name), 2)
        except (NatsError, OSError, TimeoutError):
            log.debug("reading_not_closed", stream=stream)  # the broker removes the consumer after INACTIVE_S
