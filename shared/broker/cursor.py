"""Reads a stream from a position that the reader stores itself.

A pull consumer without acknowledgements, that lives in the broker's memory and is thrown away on any doubt: the
position beside the rows is the only truth, so there is no state on the server to disagree with.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

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
MAX_BATCH_BYTES = 8 * 1024 * 1024  # limit of the bodies; decoded events take about ten times as much memory


class LogState:
    """The state of a stream as the broker reports it."""

    def __init__(self, created: str, first_sequence: int, last_sequence: int) -> None:
        self.created = created
        self.first_sequence = first_sequence
        self.last_sequence = last_sequence


async def log_state(client: Client, stream: str, *, timeout_s: float = 5.0) -> LogState:
    """Raises Unavailable."""
    try:
        info = await client.jetstream(timeout=timeout_s).stream_info(stream)
    except NotFoundError as e:
        raise Unavailable(f"the stream {stream} does not exist; run `jobtide provision`") from e
    except (NatsError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    return LogState(identity(info), info.state.first_seq, info.state.last_seq)


async def broker_time(client: Client, stream: str, *, timeout_s: float = 5.0) -> float:
    """The clock of the broker that leads ``stream``, which also times its messages; Unix seconds. Raises Unavailable."""
    try:
        answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=timeout_s)
        return datetime.fromisoformat(json.loads(answer.data)["ts"]).timestamp()
    except (NatsError, OSError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    except (ValueError, KeyError, TypeError) as e:
        raise Unavailable(f"the broker does not tell its time: {excerpt_text(answer.data)}") from e


class Cursor:
    """One open read of a stream."""

    def __init__(self, client: Client, stream: str, puller: Puller, position: int) -> None:
        self._client = client
        self._stream = stream
        self._puller = puller
        self._position = position
        self._delivered = 0
        self._behind_since: int | None = None

    async def batch(self, most: int) -> list[Recorded | Unreadable]:
        """The next events, in order and without gaps, up to ``MAX_BATCH_BYTES``; empty after a quiet second and on stop.

        Raises Unavailable when the reading must be started again from the position.
        """
        return [_read(message) for message in await self.raw_batch(most)]

    async def raw_batch(self, most: int) -> list[Msg]:
        """Like ``batch``, but undecoded messages."""
        messages = await self._puller.batch(most, MAX_BATCH_BYTES)
        if not messages:
            if not self._puller.is_ending:
                await self._suspect()
            return []
        self._behind_since = None
        for message in messages:
            self._accept(message)
        return messages

    async def _suspect(self) -> None:
        """Tell a quiet stream from a lost consumer: two quiet fetches while the stream has more events mean a lost one."""
        last_sequence = (await log_state(self._client, self._stream)).last_sequence
        if self._behind_since is not None and self._behind_since == self._position:
            raise Unavailable(f"the reading of {self._stream} stands still at {self._position} of {last_sequence}")
        self._behind_since = self._position if last_sequence > self._position else None

    def _accept(self, message: Msg) -> None:
        metadata = message.metadata
        if metadata.sequence.consumer != self._delivered + 1:
            raise Unavailable(f"{self._stream}: delivery {self._delivered + 1} is missing")
        self._delivered += 1
        self._position = metadata.sequence.stream


def _read(message: Msg) -> Recorded | Unreadable:
    metadata = message.metadata
    return read(metadata.sequence.stream, message.headers, message.data, metadata.timestamp)


@asynccontextmanager
async def read_from(
    client: Client, stream: str, sequence: int, *, applied: int | None = None, stop: asyncio.Event | None = None
) -> AsyncIterator[Cursor]:
    """Read ``stream`` from ``sequence`` on. Raises Unavailable.

    ``applied`` tells that nothing need come up to there, as when the last applied event is read once more. Once ``stop``
    is set, no event is waited for.
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
