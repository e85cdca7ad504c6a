"""The state of the site: how far each part is behind the one before it."""

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.models import Answer
from services.gateway.queries.filters import in_state
from shared.broker.streams import EVENTS, INTAKE, NODES
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.values import JobState
from shared.settings import NatsSettings

ASK_TIMEOUT_S = 3.0


class QueueStatus(Answer):
    """A work queue on a stream, e.g. the archive queue of the archiver."""

    name: str
    waiting: int = Field(description="Messages not yet given to a worker.")
    in_work: int = Field(description="Given to a worker, or to be given again, and not finished.")


class StreamStatus(Answer):
    """``lastSequence`` is null for a stream that does not exist or a broker that is away."""

    name: str
    last_sequence: int | None = None
    messages: int | None = None
    position: int | None = Field(
        None, description="The last sequence that is in the database; null for a stream that is none's projection."
    )
    lag: int | None = Field(None, description="Sequences that are not in the database yet.")
    queues: list[QueueStatus] = []


class SiteStatus(Answer):
    broker: str = Field(description="`ok`, or why nothing is known of it.")
    streams: list[StreamStatus]
    running_jobs: int
    parked_stops: int
    rejections: int = Field(description="All that are kept.")


async def site_status(client: Client | None, nats: NatsSettings, engine: AsyncEngine) -> SiteStatus:
    """``client`` is None while the broker is away. Raises Unavailable when the database is."""
    position = tables.position.c
    async with transaction(engine) as connection:
        positions: dict[str, int] = {row[0]: row[1] for row in await connection.execute(select(position.stream, position.sequence))}
        running = await connection.scalar(select(func.count()).select_from(tables.job).where(in_state(JobState.RUNNING)))
        parked = await connection.scalar(select(func.count()).select_from(tables.parked_stop))
        rejections = await connection.scalar(select(func.count()).select_from(tables.rejection))
    broker, streams = "the broker is away", []
    if client is not None:
        try:
            streams = [await _stream(client, nats, kind, positions.get(kind)) for kind in (INTAKE, EVENTS, NODES)]
            broker = "ok"
        except (NatsError, TimeoutError) as e:
            broker = f"the broker does not answer: {e!r}"[:200]
    if not streams:
        streams = [StreamStatus(name=nats.stream(kind), position=positions.get(kind)) for kind in (INTAKE, EVENTS, NODES)]
    return SiteStatus(broker=broker, streams=streams, running_jobs=running or 0, parked_stops=parked or 0, rejections=rejections or 0)


async def _stream(client: Client, nats: NatsSettings, kind: str, position: int | None) -> StreamStatus:
    js = client.jetstream(timeout=ASK_TIMEOUT_S)
    name = nats.stream(kind)
    if kind != INTAKE:
        position = position or 0
    try:
        state = (await js.stream_info(name)).state
        consumers = await js.consumers_info(name)
    except NotFoundError:
        return StreamStatus(name=name, position=position)
    queues = [
        QueueStatus(name=info.config.durable_name, waiting=info.num_pending or 0, in_work=info.num_ack_pending or 0)
        for info in consumers
        if info.config.durable_name
    ]
    lag = None if position is None else max(0, state.last_seq - position)
    return StreamStatus(name=name, last_sequence=state.last_seq, messages=state.messages, position=position, lag=lag, queues=queues)
