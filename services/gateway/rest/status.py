"""The state of the site: how far each part is behind the one before it."""

from nats.aio.client import Client
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.frame.models import Answer
from shared.broker.probe import StoreProbe
from shared.broker.streams import INTAKE
from shared.errors import Unavailable
from shared.settings import NatsSettings
from shared.status import STREAMS, StreamState, database_state, stream_states

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
    database = await database_state(engine)
    broker, states = "the broker is away", [StreamState(kind, nats.stream(kind)) for kind in STREAMS]
    if client is not None:
        try:
            states = await stream_states(client, nats, timeout_s=ASK_TIMEOUT_S)
            broker = "ok"
            await StoreProbe(nats, "gateway").require(client)
        except Unavailable as e:
            broker = str(e)
    return SiteStatus(
        broker=broker,
        streams=[_stream(state, database.positions) for state in states],
        running_jobs=database.running,
        parked_stops=database.parked,
        rejections=sum(database.rejections.values()),
    )


def _stream(state: StreamState, positions: dict[str, int]) -> StreamStatus:
    position = None if state.kind == INTAKE else positions.get(state.kind, 0)
    if state.messages is None:
        return StreamStatus(name=state.name, position=position)
    return StreamStatus(
        name=state.name,
        last_sequence=state.last,
        messages=state.messages,
        position=position,
        lag=None if position is None else max(0, state.last - position),
        queues=[QueueStatus(name=queue.name, waiting=queue.waiting, in_work=queue.in_work) for queue in state.queues],
    )
