"""Going on after the log was lost, recreated or restored from an older backup.

Job ids are sequences of the log, so a new event must never get a sequence that the database has seen.
"""

from dataclasses import replace
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import Position, Positions
from shared.broker.cursor import log_state, read_from
from shared.broker.envelope import MESSAGE_ID, Envelope
from shared.broker.streams import EVENTS, NODES, identity, stream_configs
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import LogContinued
from shared.errors import Unavailable
from shared.settings import NatsSettings

log = structlog.get_logger()

_FILL_EVERY = 500


async def continue_log(client: Client, nats: NatsSettings, engine: AsyncEngine) -> list[str]:
    """Give each stream that the database does not recognise a first new sequence above everything used.

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
        if state.created == position.created and state.last_sequence >= position.sequence:
            continue
        try:
            if state.created != position.created:
                moved = await _recreate(client, nats, stream, position)
            else:
                moved = await _extend(client, nats, stream, position)
        except (NatsError, APIError, TimeoutError, OSError) as e:
            raise Unavailable(f"{stream}: the broker did not carry it out: {e!r}") from e
        async with transaction(engine) as connection:
            created = (await log_state(client, nats.stream(stream))).created
            await positions.put(connection, replace(position, created=created))
        changes.append(f"{stream} goes on after {position.sequence}, {moved} events that were not applied yet moved there")
    return changes


async def _recreate(client: Client, nats: NatsSettings, stream: str, position: Position) -> int:
    """A stream that the database never saw: all that it holds is new, and moves above the position."""
    js = client.jetstream(timeout=10)
    name = nats.stream(stream)
    messages = await _messages(client, name, 1)
    config = next(config for config in stream_configs(nats) if config.name == name)
    await js.delete_stream(name)
    info = await js.add_stream(config.evolve(first_seq=position.sequence + 1))
    log.info("stream_recreated", stream=name, created=identity(info), first=position.sequence + 1)
    await _publish_again(client, messages)
    return len(messages)


async def _extend(client: Client, nats: NatsSettings, stream: str, position: Position) -> int:
    """A stream that lost its end: fill it up to the position, then repeat what came after the loss."""
    js = client.jetstream(timeout=10)
    name = nats.stream(stream)
    state = await log_state(client, name)
    messages = [m for m in await _messages(client, name, 1) if m.metadata.timestamp.timestamp() > position.event_time]
    filler = Envelope(LogContinued(), "", "/provision", datetime.now(UTC))
    subject = f"{nats.prefix}.node.log_continued" if stream == NODES else filler.subject(nats.prefix)
    for sequence in range(state.last_sequence + 1, position.sequence + 1):
        await js.publish(subject, filler.body(), headers=filler.headers() | {MESSAGE_ID: f"continued:{state.created}:{stream}:{sequence}"})
        if sequence % _FILL_EVERY == 0:
            log.info("stream_filled", stream=name, to=sequence)
    await _publish_again(client, messages)
    return len(messages)


async def _messages(client: Client, stream: str, first: int) -> list[Msg]:
    """What the stream holds, raw. Bounded by what came in since the loss, as the services are stopped."""
    state = await log_state(client, stream)
    if state.last_sequence < max(first, state.first_sequence):
        return []
    messages: list[Msg] = []
    async with read_from(client, stream, first) as cursor:
        while not messages or messages[-1].metadata.sequence.stream < state.last_sequence:
            messages += await cursor.raw_batch(1000)
    return messages


async def _publish_again(client: Client, messages: list[Msg]) -> None:
    js = client.jetstream(timeout=10)
    for message in messages:
        headers = dict(message.headers or {})
        if MESSAGE_ID in headers:
            headers[MESSAGE_ID] += ":again"  # the broker may still know the first id
        await js.publish(message.subject, message.data, headers=headers)
