"""Replay: publish raw messages again after the cause of their rejection was fixed, such as a missing cluster."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.envelope import REPLAY_OF
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.streams import INTAKE, identity
from shared.database.engine import transaction
from shared.database.rejections import is_of_cluster
from shared.database.tables import tables
from shared.domain.values import INT64_MAX
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings

MAX_MESSAGES = 1000  # per call
WINDOW = 50  # messages in memory
WINDOW_BYTES = 4 * 1024 * 1024  # a window ends with the message that reaches this size


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """Rejections with ``code`` since a Unix time, of intake messages after the sequence ``after`` and up to ``until``.

    Those of one cluster; the empty name stands for rejections that name none.
    """

    code: str | None = None
    since: float = 0.0
    cluster: str | None = None
    after: int = 0
    until: int = INT64_MAX


@dataclass(frozen=True, slots=True)
class Replayed:
    """``expired`` messages are no longer in the intake. With ``has_more``, the next call continues after ``last``."""

    published: int
    expired: int
    last: int
    has_more: bool


async def replay(
    engine: AsyncEngine, jetstream: JetStreamContext, publisher: Publisher, nats: NatsSettings, wanted: ReplayFilter, *, deadline_s: float
) -> Replayed:
    """Publish each message once, in the order of the intake, up to ``MAX_MESSAGES`` and until ``deadline_s`` is over.

    Repeating a replay is safe: the rules recognise known events, and a message that is refused again replaces its rejections.
    Raises Unavailable; then some may be published.
    """
    give_up = asyncio.get_running_loop().time() + deadline_s
    stream = nats.stream(INTAKE)
    found = await _messages(engine, await intake_origin(jetstream, stream), wanted)
    done = published = 0
    while done < min(len(found), MAX_MESSAGES):
        try:
            async with asyncio.timeout_at(give_up):
                count, window = await _window(jetstream, stream, found[done:MAX_MESSAGES], publisher.max_payload)
                await publisher.publish_raw(window, waits_for_stream=False)
        except TimeoutError as e:
            if not done:
                raise Unavailable(f"no message was published within {deadline_s:g} s") from e
            break
        done += count
        published += len(window)
    return Replayed(published, done - published, found[done - 1] if done else wanted.after, len(found) > done)


async def intake_origin(jetstream: JetStreamContext, stream: str) -> str:
    """How the message ids of the intake stream begin as long as it is not recreated. Raises Unavailable."""
    try:
        return f"{stream}@{identity(await jetstream.stream_info(stream))}:"
    except (NatsError, APIError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e


async def replay_one(
    jetstream: JetStreamContext, publisher: Publisher, stream: str, sequence: int, *, deadline_s: float
) -> tuple[str, int]:
    """Publish one message of the intake again; its subject and new sequence. Raises UserError if it is not there, Unavailable."""
    message = await _raw(jetstream, stream, sequence, publisher.max_payload)
    if message is None:
        raise UserError(f"the stream {stream} has no message {sequence}")
    (new,) = await publisher.publish_raw([message], deadline_s=deadline_s, waits_for_stream=False)
    return message.subject, new


async def _window(jetstream: JetStreamContext, stream: str, sequences: Sequence[int], max_payload: int) -> tuple[int, list[Outgoing]]:
    """How many of the first ``sequences`` were looked up, and the messages among them that still exist."""
    messages: list[Outgoing] = []
    size = count = 0
    for sequence in sequences[:WINDOW]:
        if size >= WINDOW_BYTES:
            break
        count += 1
        message = await _raw(jetstream, stream, sequence, max_payload)
        if message is not None:
            messages.append(message)
            size += message.size
    return count, messages


async def _messages(engine: AsyncEngine, origin: str, wanted: ReplayFilter) -> Sequence[int]:
    """Sequences, ascending, one more than are published by a call; not those of an earlier intake stream."""
    sequence = tables.rejection.c.intake_seq
    query = select(sequence).distinct().where(*replayable(origin, wanted)).order_by(sequence).limit(MAX_MESSAGES + 1)
    async with transaction(engine) as connection:
        return (await connection.scalars(query)).all()


def replayable(origin: str, wanted: ReplayFilter) -> list[ColumnElement[bool]]:
    """Conditions of the rejections whose messages ``replay`` publishes. ``origin``: see ``intake_origin``."""
    rejection = tables.rejection.c
    found = [rejection.intake_seq > wanted.after, rejection.intake_seq <= wanted.until]
    found += [rejection.time >= wanted.since, rejection.origin.startswith(origin, autoescape=True)]
    if wanted.code is not None:
        found.append(rejection.code == wanted.code)
    if wanted.cluster is not None:
        found.append(is_of_cluster(wanted.cluster))
    return found


async def _raw(jetstream: JetStreamContext, stream: str, sequence: int, max_payload: int) -> Outgoing | None:
    try:
        message = await jetstream.get_msg(stream, seq=sequence)
    except NotFoundError:
        return None
    except (NatsError, APIError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    if message.subject is None:
        return None
    first = (message.headers or {}).get(REPLAY_OF, str(sequence))  # of a replay of a replay: the message that was rejected
    outgoing = Outgoing(message.subject, message.data or b"", {REPLAY_OF: first})
    return outgoing if outgoing.size <= max_payload else Outgoing(outgoing.subject, outgoing.body)
