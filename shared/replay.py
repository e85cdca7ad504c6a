"""Offering raw messages again whose rejection had a cause that is gone: a cluster that was not configured, a missing start."""

from collections.abc import Sequence
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.publisher import Outgoing, Publisher
from shared.broker.streams import INTAKE, identity
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.errors import Unavailable
from shared.settings import NatsSettings

MAX_MESSAGES = 1000  # per call
WINDOW = 50  # messages held in memory


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """Rejections with ``code`` since a Unix time, of one cluster, of intake messages after the sequence ``after``."""

    code: str
    since: float = 0.0
    cluster: str | None = None
    after: int = 0


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
    """Publish each message once, in the order of the intake, at most ``MAX_MESSAGES``. ``deadline_s`` bounds each window.

    Repeating a replay is safe: the rules recognise what they know. Raises Unavailable; then some may be published.
    """
    stream = nats.stream(INTAKE)
    try:
        origin = f"{stream}@{identity(await jetstream.stream_info(stream))}:"
    except (NatsError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    found = await _messages(engine, origin, wanted)
    done, published = found[:MAX_MESSAGES], 0
    for begin in range(0, len(done), WINDOW):
        window = [raw for raw in [await _raw(jetstream, stream, sequence) for sequence in done[begin : begin + WINDOW]] if raw is not None]
        await publisher.publish_raw(window, deadline_s=deadline_s, waits_for_stream=False)
        published += len(window)
    return Replayed(published, len(done) - published, done[-1] if done else wanted.after, len(found) > MAX_MESSAGES)


async def _messages(engine: AsyncEngine, origin: str, wanted: ReplayFilter) -> Sequence[int]:
    """Sequences, ascending, one more than are published by a call; not those of an earlier intake stream."""
    rejection = tables.rejection.c
    query = select(rejection.intake_seq).distinct().where(rejection.code == wanted.code, rejection.intake_seq > wanted.after)
    query = query.where(rejection.time >= wanted.since, rejection.origin.startswith(origin, autoescape=True))
    if wanted.cluster is not None:
        # A payload that was refused before its cluster was known has the cluster in its excerpt only.
        texts = [rejection.excerpt.contains(f'"cluster":{gap}"{wanted.cluster}"', autoescape=True) for gap in ("", " ")]
        query = query.where(or_(rejection.cluster == wanted.cluster, *texts))
    async with transaction(engine) as connection:
        return (await connection.scalars(query.order_by(rejection.intake_seq).limit(MAX_MESSAGES + 1))).all()


async def _raw(jetstream: JetStreamContext, stream: str, sequence: int) -> Outgoing | None:
    try:
        message = await jetstream.get_msg(stream, seq=sequence)
    except NotFoundError:
        return None
    except (NatsError, TimeoutError) as e:
        raise Unavailable(f"the broker does not answer for the stream {stream}") from e
    return None if message.subject is None else Outgoing(message.subject, message.data or b"")
