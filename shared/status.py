"""The lag of each part of a site behind the previous one, for the command line and the API."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, DiscardPolicy, StreamInfo
from nats.js.errors import APIError, NotFoundError
from sqlalchemy import func, not_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.streams import EVENTS, INTAKE, LOGS, METRICS, NODES, REJECTIONS
from shared.broker.unread import backlog_of, unread_s
from shared.database.engine import transaction
from shared.database.progress import progress
from shared.database.sql import is_running
from shared.database.tables import tables
from shared.errors import Unavailable
from shared.settings import NatsSettings

LOOK_AGAIN_S = 3.0  # longer than most batches take
STREAM_TIMEOUT_S = 5.0
STREAMS = (INTAKE, EVENTS, NODES, REJECTIONS, METRICS)


@dataclass(frozen=True, slots=True)
class QueueState:
    """A durable consumer: everything up to ``done_to`` is finished, ``given_to`` was handed out; ``waiting`` and ``in_work`` count
    messages. ``unread_s`` is the age of the oldest unfinished message, known for INTAKE only."""

    name: str
    done_to: int
    given_to: int
    waiting: int
    in_work: int
    unread_s: float | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """``kind`` is one of ``STREAMS``, ``name`` the stream's on the broker; ``messages`` is None when it does not exist.

    ``oldest_at`` is the Unix time of the oldest message, None without any. A limit of None is none. A stream at its ``max_bytes`` refuses
    messages or removes the oldest ones.
    """

    kind: str
    name: str
    messages: int | None = None
    size_bytes: int = 0
    last: int = 0
    queues: list[QueueState] = field(default_factory=list)
    oldest_at: float | None = None
    max_bytes: int | None = None
    max_age_s: float | None = None
    refuses_when_full: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """``positions`` by kind of stream, ``rejections`` by reason code."""

    positions: dict[str, int]
    running: int
    parked: int
    rejections: dict[str, int]


async def stream_states(client: Client, nats: NatsSettings, *, timeout_s: float = STREAM_TIMEOUT_S) -> list[StreamState]:
    """One for each kind. Raises Unavailable."""
    return list(await asyncio.gather(*(_stream_state(client, nats, kind, timeout_s) for kind in STREAMS)))


async def _stream_state(client: Client, nats: NatsSettings, kind: str, timeout_s: float) -> StreamState:
    js = client.jetstream(timeout=timeout_s)
    name = nats.stream(kind)
    try:
        info, oldest_at = await _stream_info(client, name, timeout_s)
        consumers = [consumer for consumer in await js.consumers_info(name) if consumer.config.durable_name]
        queues = [await _queue_state(js, kind, name, consumer) for consumer in consumers]
    except NotFoundError:
        return StreamState(kind, name)
    except (NatsError, TimeoutError, OSError) as e:
        raise Unavailable(f"the broker does not answer for the stream {name}") from e
    config, state = info.config, info.state
    return StreamState(
        kind,
        name,
        state.messages,
        state.bytes,
        state.last_seq,
        queues,
        oldest_at,
        config.max_bytes if (config.max_bytes or 0) > 0 else None,
        config.max_age or None,
        config.discard == DiscardPolicy.NEW,
    )


async def _stream_info(client: Client, name: str, timeout_s: float) -> tuple[StreamInfo, float | None]:
    """Like ``stream_info`` of nats-py, which drops the time of the oldest message. Raises errors of nats-py."""
    answer = orjson.loads((await client.request(f"$JS.API.STREAM.INFO.{name}", timeout=timeout_s)).data)
    if "error" in answer:
        APIError.from_error(answer["error"])
    first = answer["state"]["first_ts"] if answer["state"]["messages"] else None
    return StreamInfo.from_response(answer), None if first is None else datetime.fromisoformat(first).timestamp()


async def _queue_state(js: JetStreamContext, kind: str, stream: str, info: ConsumerInfo) -> QueueState:
    assert info.config.durable_name
    return QueueState(
        info.config.durable_name,
        (info.ack_floor.stream_seq or 0) if info.ack_floor else 0,
        (info.delivered.stream_seq or 0) if info.delivered else 0,
        info.num_pending or 0,
        info.num_ack_pending or 0,
        await unread_s(js, stream, info) if kind == INTAKE else None,
    )


async def database_state(engine: AsyncEngine) -> DatabaseState:
    """Cheap, however many jobs are stored. Raises Unavailable."""
    rejection = tables.rejection.c
    async with transaction(engine) as connection:
        applied = await connection.run_sync(progress)
        running = await connection.scalar(select(func.count()).select_from(tables.job).where(is_running(tables.job.c.job_state)))
        parked = await connection.scalar(select(func.count()).select_from(tables.parked_stop))
        codes = {row[0]: row[1] for row in await connection.execute(select(rejection.code, func.count()).group_by(rejection.code))}
    positions = {EVENTS: applied.events, NODES: applied.nodes, REJECTIONS: applied.rejections}
    return DatabaseState(positions, running or 0, parked or 0, codes)


def behind(streams: Sequence[StreamState], positions: Mapping[str, int]) -> dict[str, StreamState]:
    """The streams with messages that jobstore has not applied, by kind."""
    return {s.kind: s for s in streams if s.kind in LOGS and s.messages and positions.get(s.kind, 0) < s.last}


async def standstills(
    client: Client, nats: NatsSettings, engine: AsyncEngine, streams: Sequence[StreamState], positions: Mapping[str, int]
) -> list[str]:
    """A line for each reader that lags and does not advance within ``LOOK_AGAIN_S``, and for messages about to expire unread.

    Raises Unavailable.
    """
    late = behind(streams, positions)
    unread = {queue.name: queue.given_to for stream in streams if stream.kind == INTAKE for queue in stream.queues if queue.waiting}
    lines = await _old_backlogs(client, streams)
    if not late and not unread:
        return lines
    await asyncio.sleep(LOOK_AGAIN_S)
    now = (await database_state(engine)).positions
    intake = await _stream_state(client, nats, INTAKE, STREAM_TIMEOUT_S)
    lines += [
        f"{queue.name} stopped reading {intake.name} at {queue.given_to:,} of {intake.last:,}: see /readyz and the log of {queue.name}"
        for queue in intake.queues
        if queue.waiting and queue.given_to == unread.get(queue.name)
    ]
    return lines + [
        f"the position in {stream.name} stands at {now.get(kind, 0):,} of {stream.last:,}: see /readyz and the log of jobstore"
        for kind, stream in late.items()
        if now.get(kind, 0) == positions.get(kind, 0)
    ]


async def _old_backlogs(client: Client, streams: Sequence[StreamState]) -> list[str]:
    js = client.jetstream(timeout=STREAM_TIMEOUT_S)
    queues = [(stream.name, queue.name) for stream in streams if stream.kind == INTAKE for queue in stream.queues]
    try:
        return [str(backlog) for names in queues if (backlog := await backlog_of(js, *names)).is_old]
    except (NatsError, TimeoutError, OSError) as e:
        raise Unavailable("the broker does not answer for the backlog of the intake") from e


async def stopped_by_status(engine: AsyncEngine) -> dict[int, int]:
    """Stopped jobs by monitoring status; reads every job. Raises Unavailable."""
    job = tables.job.c
    async with transaction(engine) as connection:
        rows = await connection.execute(
            select(job.monitoring_status, func.count()).where(not_(is_running(job.job_state))).group_by(job.monitoring_status)
        )
        return {row[0]: row[1] for row in rows}
