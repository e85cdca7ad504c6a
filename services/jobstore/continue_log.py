"""Continues after the log was lost, recreated or restored from an older backup.

Job ids are sequences of the log, so a new event must never get a sequence that the database has seen.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamConfig, StreamSource
from nats.js.errors import APIError, NotFoundError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import SAME_TIME_S, Position, Positions
from shared.broker.cursor import LogState, log_state, read_from
from shared.broker.envelope import MESSAGE_ID, STORED_AT, Envelope
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.streams import EVENTS, NODES, identity, stream_configs
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import LogContinued
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import Unavailable
from shared.settings import NatsSettings

log = structlog.get_logger()

_FILL_EVERY = 500
COPY = "_CONTINUED"  # suffix of the copy's name
COPY_TRIES = 600
COPY_PAUSE_S = 0.1


async def continue_log(client: Client, nats: NatsSettings, engine: AsyncEngine) -> list[str]:
    """Give each stream that the database does not recognise a first sequence above all used ones.

    Events that the database has not seen keep their order and get new sequences. Run it while ingest, the gateway and
    jobstore are stopped. Returns one line of text for each change. Raises Unavailable.
    """
    changes = []
    for stream in (EVENTS, NODES):
        positions = Positions(tables, stream)
        async with transaction(engine) as connection:
            position = await positions.get(connection)
        if position is None:
            continue
        state = await log_state(client, nats.stream(stream))
        if state.created == position.created and await _is_same(client, nats, stream, position, state):
            continue
        try:
            if state.created != position.created:
                moved = await _recreate(client, nats, stream, position)
            else:
                moved = await _extend(client, nats, stream, position)
        except (NatsError, APIError, TimeoutError, OSError) as e:
            raise Unavailable(f"{stream}: the broker failed to carry it out: {e!r}") from e
        created = (await log_state(client, nats.stream(stream))).created
        there = await _at(client, nats, stream, position.sequence)
        async with transaction(engine) as connection:
            await positions.put(connection, replace(position, created=created, event_time=there.time if there else position.event_time))
        await _forget_copy(client, nats.stream(stream))
        changes.append(f"{stream} continues after {position.sequence}; {moved} events that were not applied yet were moved there")
    return changes


async def _is_same(client: Client, nats: NatsSettings, stream: str, position: Position, state: LogState) -> bool:
    """Whether the stream holds, at the position, the event that was applied there."""
    if state.last_sequence < position.sequence:
        return False
    there = await _at(client, nats, stream, position.sequence)
    return there is None or not position.event_time or abs(there.time - position.event_time) <= SAME_TIME_S


async def _at(client: Client, nats: NatsSettings, stream: str, sequence: int) -> Recorded | Unreadable | None:
    """The event at one sequence, or None when the log does not have it."""
    if not 0 < sequence <= (await log_state(client, nats.stream(stream))).last_sequence:
        return None
    async with read_from(client, nats.stream(stream), sequence, applied=sequence) as cursor:
        batch = await cursor.batch(1)
    return batch[0] if batch and batch[0].sequence == sequence else None


async def _recreate(client: Client, nats: NatsSettings, stream: str, position: Position) -> int:
    """Handle a stream that the database never saw: all its events are new and move above the position.

    It is copied before it is deleted, and the copy goes last: a run that died half-way is run again.
    """
    js = client.jetstream(timeout=10)
    name = nats.stream(stream)
    await _copy(client, name)
    messages = await _messages(client, name + COPY, 1)
    config = next(config for config in stream_configs(nats) if config.name == name)
    await js.delete_stream(name)
    info = await js.add_stream(config.evolve(first_seq=position.sequence + 1))
    log.info("stream_recreated", stream=name, created=identity(info), first=position.sequence + 1)
    await _publish_again(Publisher(client, nats.prefix), messages)
    return len(messages)


async def _copy(client: Client, name: str) -> None:
    """Let the broker copy ``name`` to a second stream; an existing copy is reused."""
    js = client.jetstream(timeout=10)
    try:
        await js.stream_info(name + COPY)
    except NotFoundError:
        await js.add_stream(StreamConfig(name=name + COPY, storage=StorageType.FILE, sources=[StreamSource(name=name)]))
    held = (await js.stream_info(name)).state.messages
    for _ in range(COPY_TRIES):
        if (await js.stream_info(name + COPY)).state.messages >= held:
            return
        await asyncio.sleep(COPY_PAUSE_S)
    raise Unavailable(f"the copy {name + COPY} is not complete yet, try again")


async def _forget_copy(client: Client, name: str) -> None:
    with suppress(NotFoundError):
        await client.jetstream(timeout=10).delete_stream(name + COPY)


async def _extend(client: Client, nats: NatsSettings, stream: str, position: Position) -> int:
    """Handle a stream that lost its end: fill it up to the position, then republish the events that came after the loss."""
    name = nats.stream(stream)
    state = await log_state(client, name)
    held = [m for m in await _messages(client, name, 1) if m.metadata.sequence.stream <= position.sequence]
    messages = [m for m in held if m.metadata.timestamp.timestamp() > position.event_time]
    filler = Envelope(LogContinued(), "", "/provision", datetime.now(UTC))
    subject = f"{nats.prefix}.node.log_continued" if stream == NODES else filler.subject(nats.prefix)
    publisher = Publisher(client, nats.prefix)
    for first in range(state.last_sequence + 1, position.sequence + 1, _FILL_EVERY):
        sequences = range(first, min(first + _FILL_EVERY, position.sequence + 1))
        ids = [f"continued:{state.created}:{stream}:{sequence}" for sequence in sequences]
        await publisher.publish_raw([Outgoing(subject, filler.body(), filler.headers() | {MESSAGE_ID: id_}) for id_ in ids])
        log.info("stream_filled", stream=name, to=sequences[-1])
    await _publish_again(publisher, messages)
    return len(messages)


async def _messages(client: Client, stream: str, first: int) -> list[Msg]:
    """The raw messages of the stream. Bounded, because the services are stopped: only events since the loss are left."""
    state = await log_state(client, stream)
    if state.last_sequence < max(first, state.first_sequence):
        return []
    messages: list[Msg] = []
    async with read_from(client, stream, first) as cursor:
        while not messages or messages[-1].metadata.sequence.stream < state.last_sequence:
            messages += await cursor.raw_batch(1000)
    return messages


async def _publish_again(publisher: Publisher, messages: list[Msg]) -> None:
    for message in messages:  # one by one: a repeated publish must not change their order
        headers = dict(message.headers or {})
        stored = message.metadata.timestamp.isoformat()
        if headers.pop("Nats-Stream-Source", None) is not None:  # of the copy: it was stored when it was copied
            stored = headers.get("ce-time", stored)
        headers.setdefault(STORED_AT, stored)
        if MESSAGE_ID in headers:
            headers[MESSAGE_ID] += ":again"  # the broker may still know the first id
        await publisher.publish_raw([Outgoing(message.subject, message.data, headers)])
