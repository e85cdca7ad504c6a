"""Records up to which message the intake is finished, independently of its consumer.

The broker stores acknowledgements as part of the consumer and deletes both together. It also counts messages that expire from the
stream as acknowledged. ingest therefore copies the acknowledged position to a bucket every few seconds. From this record, a
recreated consumer knows where to start, and ingest knows which messages were removed before they were finished.

The record may lag but is never ahead, so a new consumer may read some messages twice; the broker and the rules recognise them
by their message ids.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError

from shared.broker.streams import Durable, identity, progress_bucket
from shared.domain.recorded import microseconds
from shared.errors import Unavailable
from shared.settings import NatsSettings


@dataclass(frozen=True, slots=True)
class Removed:
    """A range of messages that left the stream before they were recorded as finished. ``seen_at`` is part of its identity."""

    stream: str
    first: int
    last: int
    seen_at: datetime


Report = Callable[[Removed], Awaitable[None]]


class _Removal(msgspec.Struct, frozen=True):
    """The last message of a range that is being reported, and the time of the report."""

    last: int
    seen_at: datetime


class _Record(msgspec.Struct, frozen=True):
    """All messages up to ``sequence`` of the stream created at ``created`` are finished, or reported as removed.

    ``stored_us`` is when the broker stored the last one, because a restored intake reuses sequences. None if the message has expired.
    ``removal`` is stored before it is reported. A replica that finds one repeats the report, because the replica that stored it may
    have stopped before publishing.
    """

    created: str
    sequence: int
    stored_us: int | None = None
    removal: _Removal | None = None


class Progress:
    """The record, shared by any number of replicas. Each change is written by one of them."""

    def __init__(self, client: Client, nats: NatsSettings, queue: Durable) -> None:
        self._client = client
        self._bucket = progress_bucket(nats)
        self._queue = queue

    async def advance(self, report: Report) -> None:
        """Report messages removed since the last call, then record the finished ones. Raises Unavailable, and the errors of ``report``.

        A range is passed to ``report`` again, with the same values, until the call has succeeded in one replica.
        """
        js = self._client.jetstream(timeout=2)
        try:
            record, revision = await self._read(js)
            finished = await self._finished(js)
            info = await js.stream_info(self._queue.stream)  # after the consumer, which counts removed messages as finished
            created, gone = identity(info), info.state.first_seq - 1
            if record is None or record.created != created:
                done = max(finished or 0, gone)
            elif record.removal is None and gone <= record.sequence:
                done = record.sequence if finished is None else max(finished, gone)
            else:
                removal = record.removal or _Removal(gone, datetime.now(UTC))
                if record.removal is None:
                    record = msgspec.structs.replace(record, removal=removal)
                    revision = await self._write(js, record, revision)
                await report(Removed(f"{self._queue.stream}@{created}", record.sequence + 1, removal.last, removal.seen_at))
                done = removal.last  # not beyond: the next call finds out whether those messages were finished or removed
            if record != (advanced := _Record(created, done, await self._stored_us(js, done))):
                await self._write(js, advanced, revision)
        except KeyWrongLastSequenceError:
            return  # another replica has changed the record
        except NotFoundError:
            return  # no bucket, or no stream
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not store the progress of {self._queue.name}: {e!r}") from e

    async def first_unfinished(self) -> int | None:
        """The sequence at which a new consumer starts; None for the beginning of the stream. Raises Unavailable.

        Also None if the intake has since been recreated or restored from an older copy.
        """
        js = self._client.jetstream(timeout=5)
        try:
            record, _ = await self._read(js)
            if record is None or record.created != identity(await js.stream_info(self._queue.stream)):
                return None
            stored_us = await self._stored_us(js, record.sequence)
        except NotFoundError:
            return None
        except (APIError, NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not return the progress of {self._queue.name}: {e!r}") from e
        return record.sequence + 1 if stored_us is not None and stored_us == record.stored_us else None

    async def _read(self, js: JetStreamContext) -> tuple[_Record | None, int]:
        """The record, None if there is none, and its revision. Raises errors of nats-py."""
        try:
            entry = await (await js.key_value(self._bucket)).get(self._queue.name)
        except KeyNotFoundError as e:
            return None, e.entry.revision if e.entry is not None else 0
        try:
            return msgspec.json.decode(entry.value or b"", type=_Record), entry.revision or 0
        except msgspec.MsgspecError:
            return None, entry.revision or 0

    async def _write(self, js: JetStreamContext, record: _Record, revision: int) -> int:
        """Raises KeyWrongLastSequenceError if the record has changed since ``revision``, and other errors of nats-py."""
        return await (await js.key_value(self._bucket)).update(self._queue.name, msgspec.json.encode(record), last=revision)

    async def _finished(self, js: JetStreamContext) -> int | None:
        """The sequence up to which the consumer has finished all messages; None without a consumer. Raises errors of nats-py."""
        try:
            floor = (await js.consumer_info(self._queue.stream, self._queue.name)).ack_floor
        except NotFoundError:
            return None
        return (floor.stream_seq or 0) if floor else 0

    async def _stored_us(self, js: JetStreamContext, sequence: int) -> int | None:
        """When the broker stored the message, in microseconds; None if it does not exist. Raises errors of nats-py."""
        if sequence < 1:
            return None
        try:
            message = await js.get_msg(self._queue.stream, seq=sequence)
        except NotFoundError:
            return None
        return None if message.time is None else microseconds(message.time)
