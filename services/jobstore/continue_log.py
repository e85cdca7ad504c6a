"""Continues the log after it was lost, recreated or restored from an older backup.

Job ids are sequences of the log, so a new event must never get a sequence that the database has seen. State whose events were
lost is written into the log as whole states, so that a rebuild can restore it.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamConfig, StreamSource
from nats.js.errors import APIError, NotFoundError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import SAME_TIME_S, Position, Positions
from services.jobstore.recognition import compare, event_at
from services.jobstore.whole_states import whole_states
from shared.broker.cursor import LogState, log_state, read_from
from shared.broker.envelope import MESSAGE_ID, STORED_AT, Envelope
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.streams import EVENTS, LOGS, NODES, REJECTIONS, identity, stream_configs
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import TYPE_PREFIX, Event, JobArchiveRequested, JobRestored, LogContinued, RowsRestored
from shared.domain.fitting import HEADROOM, fitted
from shared.domain.values import MONITORING_OPEN, JobState
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings

log = structlog.get_logger()

_FILL_EVERY = 500
_READ_EVERY = 1000
_DELETE_AT_ONCE = 100
_KINDS = {NODES: "node", REJECTIONS: "intake"}  # the second token of the subjects of these streams
COPY = "_CONTINUED"  # suffix of the copy's name
COPY_TRIES = 600
COPY_PAUSE_S = 0.1
_OURS = tuple(f"{TYPE_PREFIX}{event.name}.v" for event in (JobRestored, RowsRestored, LogContinued))
_MOVED = re.compile(r"(:again(-[0-9]+)?)+$")  # suffix of the message id of an event that was published again


async def continue_log(client: Client, nats: NatsSettings, engine: AsyncEngine, *, only_lost_ends: bool = False) -> list[str]:
    """Make each stream that the database does not recognise continue above all used sequences.

    State from lost events is written into the log; events that have not been applied follow in their order
    under new sequences. Run it while ingest, the gateway and jobstore are stopped; if it was interrupted, run it again.
    With ``only_lost_ends``, recreated and replaced streams are left to the operator; a shorter stream merely lost unsynced events.
    Returns one line of text for each change. Raises UserError for a copy of the log that was applied, Unavailable.
    """
    changes = []
    for stream in LOGS:
        positions = Positions(tables, stream)
        async with transaction(engine) as connection:
            position = await positions.get(connection)
        if position is None:
            continue
        state = await log_state(client, nats.stream(stream))
        if state.created == position.created and await _is_same(client, nats, stream, position, state):
            if not only_lost_ends:
                changes += await _complete(client, nats, engine, stream, position, state)
            continue
        if only_lost_ends and (state.created != position.created or state.last_sequence >= position.sequence):
            continue
        if state.created != position.created and (await compare(client, engine, stream, nats.stream(stream), position)).is_copy:
            raise UserError(f"{stream} is a copy of the log that was applied: `jobtide provision --adopt` takes it over as it is")
        one = _Continuation(client, nats, engine, stream, position, state)
        try:
            if state.created != position.created:
                await one.recreate()
            else:
                await one.extend()
        except (NatsError, APIError, TimeoutError, OSError) as e:
            raise Unavailable(f"{stream}: the broker failed to continue it: {e!r}") from e
        created = (await log_state(client, nats.stream(stream))).created
        there = await event_at(client, nats.stream(stream), position.sequence)
        known = replace(position, created=created) if there is None else replace(position, created=created).moved_to(there)
        async with transaction(engine) as connection:
            await positions.put(connection, known)
        await _forget_copy(client, nats.stream(stream))
        changes.append(
            f"{stream} continues after {position.sequence}; {one.restored} states were written into it from the database,"
            f" followed by {one.moved} events that had not been applied yet"
        )
    return changes


async def _complete(client: Client, nats: NatsSettings, engine: AsyncEngine, stream: str, position: Position, state: LogState) -> list[str]:
    """Add states to EVENTS if it was continued by an earlier version, which filled the lost sequences without writing states."""
    if stream != EVENTS:
        return []
    js, subject = client.jetstream(timeout=10), f"{nats.prefix}.{LogContinued.name}"
    counts = (await js.stream_info(nats.stream(stream), subjects_filter=f"{nats.prefix}.housekeeping.>")).state.subjects or {}
    if subject not in counts or f"{nats.prefix}.{RowsRestored.name}" in counts:
        return []
    if position.sequence < state.last_sequence:
        raise UserError(f"{stream} was continued without the states of lost events: let jobstore apply all of it, then run this again")
    first = (await js.get_msg(nats.stream(stream), seq=1, subject=subject, next=True)).seq
    assert first is not None
    one = _Continuation(client, nats, engine, stream, position, state)
    await one.restore(first - 1)
    return [f"{stream} was continued by an earlier version; {one.restored} states were written into it from the database"]


async def _is_same(client: Client, nats: NatsSettings, stream: str, position: Position, state: LogState) -> bool:
    """Whether the stream holds, at the position, the event that was applied there."""
    if state.last_sequence < position.sequence:
        return False
    there = await event_at(client, nats.stream(stream), position.sequence)
    return there is None or position.is_of(there)


class _Continuation:
    """The continuation of one stream. ``restored`` and ``moved`` count the messages written."""

    def __init__(self, client: Client, nats: NatsSettings, engine: AsyncEngine, stream: str, position: Position, state: LogState) -> None:
        self._client = client
        self._nats = nats
        self._engine = engine
        self._stream = stream
        self._name = nats.stream(stream)
        self._position = position
        self._state = state
        self._publisher = Publisher(client, nats.prefix)
        self._run = f"{state.created}:{stream}:{state.last_sequence}"  # makes message ids differ from those of an interrupted run
        self.restored = 0
        self.moved = 0

    async def recreate(self) -> None:
        """Handle a stream that is new to the database: none of its events has been applied, so all move above the position.

        The stream is copied before it is deleted, and the copy is deleted last, so that an interrupted run can be repeated.
        """
        js = self._client.jetstream(timeout=10)
        copy = self._name + COPY
        await _copy(self._client, self._name)
        config = next(config for config in stream_configs(self._nats) if config.name == self._name)
        await js.delete_stream(self._name)
        info = await js.add_stream(config.evolve(first_seq=self._position.sequence + 1))
        log.info("stream_recreated", stream=self._name, created=identity(info), first=self._position.sequence + 1)
        await self.restore(0)
        last = (await log_state(self._client, copy)).last_sequence
        async for message in _messages(self._client, copy, 1, last):
            await self._move(message)

    async def extend(self) -> None:
        """Handle a stream that lost its end: events published since then move above the position."""
        agreed = await self._agreed()
        await self.restore(agreed)
        await self._fill()
        end = (await log_state(self._client, self._name)).last_sequence  # later events already follow the restored states
        since: list[int] = []
        moved: set[str] = set()
        async for message in _messages(self._client, self._name, agreed + 1, end):
            sequence, is_ours = message.metadata.sequence.stream, _is_ours(message)
            if not is_ours or sequence <= self._state.last_sequence:
                since.append(sequence)
            message_id = _MOVED.sub("", (message.headers or {}).get(MESSAGE_ID, ""))
            if not is_ours and not (message_id and message_id in moved):  # not yet moved by an interrupted run
                moved.add(message_id)
                await self._move(message)
        await self._request_archiving(agreed)
        await self._delete(since)

    async def _request_archiving(self, after: int) -> None:
        """Request archiving for jobs whose stop was lost before they were reported as archived: the archiver works from the log."""
        if self._stream != EVENTS:
            return
        job = tables.job.c
        is_due = job.stop_seq > after, job.monitoring_status == MONITORING_OPEN, job.job_state != JobState.RUNNING.value
        async with transaction(self._engine) as connection:
            jobs = (await connection.execute(select(job.id, job.cluster).where(*is_due).order_by(job.id))).all()
        requests = [self._outgoing(JobArchiveRequested(id=id_, cluster=cluster), f"lost-stop:{id_}:{self._run}") for id_, cluster in jobs]
        await self._publisher.publish_raw(requests)

    async def _agreed(self) -> int:
        """The last sequence at which the stream agrees with the log that was applied. Lost events were stored before the position."""
        position, js = self._position, self._client.jetstream(timeout=10)
        until = (position.log_time or position.event_time) + SAME_TIME_S
        low, high = self._state.first_sequence - 1, min(self._state.last_sequence, position.sequence)
        while low < high:
            middle = (low + high + 1) // 2
            try:
                message = await js.get_msg(self._name, seq=middle, subject=">", next=True)
            except NotFoundError:  # nothing is left up to the end
                high = middle - 1
                continue
            if message.seq is not None and message.seq <= high and message.time is not None and message.time.timestamp() <= until:
                low = message.seq
            else:
                high = middle - 1
        return low

    async def restore(self, after: int) -> None:
        """Write the state that resulted from events later than ``after`` into the log."""
        async for events in whole_states(self._engine, self._stream, after):
            events = [self._fitted(event) if isinstance(event, JobRestored) else event for event in events]
            messages = [self._outgoing(event, f"restored:{self._run}:{self.restored + index}") for index, event in enumerate(events)]
            await self._publisher.publish_raw(messages)
            self.restored += len(messages)
            log.info("states_restored", stream=self._name, count=self.restored)

    def _fitted(self, event: JobRestored) -> JobRestored:
        """Truncate the metadata if the job has grown since its start. Raises UserError if it is too large for another reason."""
        cut = fitted(event, self._client.max_payload - HEADROOM)
        if cut is None:
            raise UserError(
                f"the state of job {event.id} is larger than the broker's max_payload of {self._client.max_payload} bytes: raise it"
            )
        if cut is not event:
            log.warning("restored_job_cut", job=event.id)
        return cut

    async def _fill(self) -> None:
        """Raise the last sequence to the position."""
        last = (await log_state(self._client, self._name)).last_sequence
        for first in range(last + 1, self._position.sequence + 1, _FILL_EVERY):
            sequences = range(first, min(first + _FILL_EVERY, self._position.sequence + 1))
            await self._publisher.publish_raw([self._outgoing(LogContinued(), f"continued:{self._run}:{n}") for n in sequences])
            log.info("stream_filled", stream=self._name, to=sequences[-1])

    def _outgoing(self, event: Event, message_id: str) -> Outgoing:
        envelope = Envelope(event, message_id, "/provision", datetime.now(UTC))
        subject = envelope.subject(self._nats.prefix)
        if self._stream in _KINDS:
            subject = f"{self._nats.prefix}.{_KINDS[self._stream]}.{event.name.partition('.')[2]}"
        return Outgoing(subject, envelope.body(), envelope.headers())

    async def _move(self, message: Msg) -> None:
        """Publish the message again. One at a time, so that a retry cannot change the order."""
        headers = dict(message.headers or {})
        stored = message.metadata.timestamp.isoformat()
        if headers.pop("Nats-Stream-Source", None) is not None:  # in the copy, whose storage time is that of copying
            stored = headers.get("ce-time", stored)
        headers.setdefault(STORED_AT, stored)
        if MESSAGE_ID in headers:  # a new id, because the broker may still reject the old one as a duplicate
            headers[MESSAGE_ID] = f"{_MOVED.sub('', headers[MESSAGE_ID])}:again-{self._state.last_sequence}"
        await self._publisher.publish_raw([Outgoing(message.subject, message.data, headers)])
        self.moved += 1

    async def _delete(self, sequences: list[int]) -> None:
        """Remove republished messages, the last first, so that an interrupted run leaves the rest in order."""
        for end in range(len(sequences), 0, -_DELETE_AT_ONCE):
            some = sequences[max(0, end - _DELETE_AT_ONCE) : end]
            await asyncio.gather(*(self._delete_one(sequence) for sequence in reversed(some)))

    async def _delete_one(self, sequence: int) -> None:
        request = json.dumps({"seq": sequence, "no_erase": True}).encode()
        answer = await self._client.request(f"$JS.API.STREAM.MSG.DELETE.{self._name}", request, timeout=10)
        error = json.loads(answer.data).get("error")
        if error is not None and error.get("code") != 404:
            raise Unavailable(f"{self._name}: message {sequence} cannot be removed: {error.get('description')}")


def _is_ours(message: Msg) -> bool:
    """Whether an interrupted run wrote the message."""
    return str((message.headers or {}).get("ce-type", "")).startswith(_OURS)


async def _copy(client: Client, name: str) -> None:
    """Let the broker copy ``name`` to a second stream, then detach the copy. An existing copy is reused."""
    js = client.jetstream(timeout=10)
    try:
        info = await js.stream_info(name + COPY)
    except NotFoundError:
        info = await js.add_stream(StreamConfig(name=name + COPY, storage=StorageType.FILE, sources=[StreamSource(name=name)]))
    if not info.config.sources:
        return
    held = (await js.stream_info(name)).state.messages
    for _ in range(COPY_TRIES):
        if (await js.stream_info(name + COPY)).state.messages >= held:
            await js.update_stream(info.config.evolve(sources=[]))
            return
        await asyncio.sleep(COPY_PAUSE_S)
    raise Unavailable(f"the copy {name + COPY} is not complete yet, try again")


async def _forget_copy(client: Client, name: str) -> None:
    with suppress(NotFoundError):
        await client.jetstream(timeout=10).delete_stream(name + COPY)


async def _messages(client: Client, stream: str, first: int, last: int) -> AsyncIterator[Msg]:
    """The raw messages of the stream from ``first`` to ``last``."""
    state = await log_state(client, stream)
    if last < max(first, state.first_sequence):
        return
    async with read_from(client, stream, first) as cursor:
        while True:
            for message in await cursor.raw_batch(_READ_EVERY):
                sequence = message.metadata.sequence.stream
                if sequence <= last:
                    yield message
                if sequence >= last:
                    return
