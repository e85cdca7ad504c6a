"""How far each part of a site is behind the one before it, for the command line and the API."""

from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from sqlalchemy import func, not_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.streams import EVENTS, INTAKE, NODES
from shared.database.engine import transaction
from shared.database.progress import progress
from shared.database.sql import is_running
from shared.database.tables import tables
from shared.errors import Unavailable
from shared.settings import NatsSettings

STREAMS = (INTAKE, EVENTS, NODES)


@dataclass(frozen=True, slots=True)
class QueueState:
    """A durable consumer: everything up to ``done_to`` is finished; ``waiting`` and ``in_work`` count messages."""

    name: str
    done_to: int
    waiting: int
    in_work: int


@dataclass(frozen=True, slots=True)
class StreamState:
    """``kind`` is INTAKE, EVENTS or NODES, ``name`` the stream's on the broker; ``messages`` is None when it does not exist."""

    kind: str
    name: str
    messages: int | None = None
    size_bytes: int = 0
    last: int = 0
    queues: list[QueueState] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """``positions`` by kind of stream, ``rejections`` by reason code."""

    positions: dict[str, int]
    running: int
    parked: int
    rejections: dict[str, int]


async def stream_states(client: Client, nats: NatsSettings, *, timeout_s: float = 5.0) -> list[StreamState]:
    """One for each kind. Raises Unavailable."""
    return [await _stream_state(client, nats, kind, timeout_s) for kind in STREAMS]


async def _stream_state(client: Client, nats: NatsSettings, kind: str, timeout_s: float) -> StreamState:
    js = client.jetstream(timeout=timeout_s)
    name = nats.stream(kind)
    try:
        state = (await js.stream_info(name)).state
        consumers = await js.consumers_info(name)
    except NotFoundError:
        return StreamState(kind, name)
    except (NatsError, TimeoutError, OSError) as e:
        raise Unavailable(f"the broker does not answer for the stream {name}") from e
    queues = [
        QueueState(
            info.config.durable_name,
            (info.ack_floor.stream_seq or 0) if info.ack_floor else 0,
            info.num_pending or 0,
            info.num_ack_pending or 0,
        )
        for info in consumers
        if info.config.durable_name
    ]
    return StreamState(kind, name, state.messages, state.bytes, state.last_seq, queues)


async def database_state(engine: AsyncEngine) -> DatabaseState:
    """Cheap, however many jobs are stored. Raises Unavailable."""
    rejection = tables.rejection.c
    async with transaction(engine) as connection:
        applied = await connection.run_sync(progress)
        running = await connection.scalar(select(func.count()).select_from(tables.job).where(is_running(tables.job.c.job_state)))
        parked = await connection.scalar(select(func.count()).select_from(tables.parked_stop))
        codes = {row[0]: row[1] for row in await connection.execute(select(rejection.code, func.count()).group_by(rejection.code))}
    return DatabaseState({EVENTS: applied.events, NODES: applied.nodes}, running or 0, parked or 0, codes)


async def stopped_by_status(engine: AsyncEngine) -> dict[int, int]:
    """Stopped jobs by monitoring status; reads every job. Raises Unavailable."""
    job = tables.job.c
    async with transaction(engine) as connection:
        rows = await connection.execute(
            select(job.monitoring_status, func.count()).where(not_(is_running(job.job_state))).group_by(job.monitoring_status)
        )
        return {row[0]: row[1] for row in rows}
