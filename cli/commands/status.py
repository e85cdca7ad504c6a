"""`jobtide status`: how far everything is, as tables."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.site import broker_of, find_site
from shared.broker.streams import EVENTS, INTAKE, NODES
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED, MONITORING_OPEN, JobState
from shared.errors import Unavailable
from shared.settings import NatsSettings

MONITORING_WORDS = {
    MONITORING_DISABLED: "not monitored",
    MONITORING_OPEN: "to be archived",
    ARCHIVING_FAILED: "failed",
    ARCHIVED: "archived",
}


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable consumer: what waits, and what is in work."""

    name: str
    done_to: int
    waiting: int
    in_work: int


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """``messages`` is None for a stream that does not exist."""

    name: str
    messages: int | None = None
    size_bytes: int = 0
    last: int = 0
    queues: list[Queue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    positions: dict[str, int]
    running: int
    stopped_by_status: dict[int, int]
    parked: int
    rejections: dict[str, int]


async def streams_status(client: Client, nats: NatsSettings) -> list[StreamStatus]:
    """INTAKE, EVENTS, NODES. Raises Unavailable."""
    js = client.jetstream(timeout=5)
    found = []
    for kind in (INTAKE, EVENTS, NODES):
        name = nats.stream(kind)
        try:
            state = (await js.stream_info(name)).state
            consumers = await js.consumers_info(name)
        except NotFoundError:
            found.append(StreamStatus(name))
            continue
        except (NatsError, TimeoutError) as e:
            raise Unavailable(f"the broker does not answer for the stream {name}") from e
        queues = [
            Queue(
                info.config.durable_name,
                info.ack_floor.stream_seq if info.ack_floor else 0,
                info.num_pending or 0,
                info.num_ack_pending or 0,
            )
            for info in consumers
            if info.config.durable_name
        ]
        found.append(StreamStatus(name, state.messages, state.bytes, state.last_seq, queues))
    return found


async def database_status(engine: AsyncEngine) -> DatabaseStatus:
    """Raises Unavailable."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    job, rejection, position = tables.job.c, tables.rejection.c, tables.position.c
    async with transaction(engine) as connection:
        positions = {row[0]: row[1] for row in await connection.execute(select(position.stream, position.sequence))}
        running = await connection.scalar(select(func.count()).where(job.job_state == JobState.RUNNING))
        by_status = await connection.execute(
            select(job.monitoring_status, func.count()).where(job.job_state != JobState.RUNNING).group_by(job.monitoring_status)
        )
        stopped = {row[0]: row[1] for row in by_status}
        parked = await connection.scalar(select(func.count()).select_from(tables.parked_stop))
        codes = {row[0]: row[1] for row in await connection.execute(select(rejection.code, func.count()).group_by(rejection.code))}
    return DatabaseStatus(positions, running or 0, stopped, parked or 0, codes)


def run_status(data: Path | None) -> None:
    from shared.database.engine import opened

    site = find_site(data)

    async def run() -> tuple[list[StreamStatus], DatabaseStatus, NatsSettings]:
        async with AsyncExitStack() as stack:
            client, nats = await stack.enter_async_context(broker_of(site, "status"))
            engine = await stack.enter_async_context(opened(site.database, read_only=True))
            return await streams_status(client, nats), await database_status(engine), nats

    streams, database, nats = asyncio.run(run())
    _print(streams, database, nats)


def _print(streams: Sequence[StreamStatus], database: DatabaseStatus, nats: NatsSettings) -> None:
    from rich.console import Console
    from rich.table import Table

    log = Table("stream", box=None, pad_edge=False)
    for title in ("messages", "size", "last", "reader", "position", "lag"):
        log.add_column(title, justify="left" if title == "reader" else "right")
    for stream in streams:
        if stream.messages is None:
            log.add_row(stream.name, "missing: run `jobtide provision`")
            continue
        facts = (stream.name, f"{stream.messages:,}", _size(stream.size_bytes), f"{stream.last:,}")
        readers = [(kind, database.positions.get(kind, 0)) for kind in (EVENTS, NODES) if nats.stream(kind) == stream.name]
        lines = [("jobstore", f"{position:,}", f"{max(0, stream.last - position):,}") for _, position in readers]
        lines += [(queue.name, f"{queue.done_to:,}", f"{queue.waiting + queue.in_work:,}") for queue in stream.queues]
        for index, line in enumerate(lines or [("", "", "")]):
            log.add_row(*(facts if index == 0 else ("", "", "", "")), *line)
    jobs = Table("jobs", "", box=None, pad_edge=False)
    jobs.columns[1].justify = "right"
    jobs.add_row("running", f"{database.running:,}")
    for status, word in MONITORING_WORDS.items():
        if database.stopped_by_status.get(status) or status in (MONITORING_OPEN, ARCHIVED):
            jobs.add_row(f"stopped, {word}", f"{database.stopped_by_status.get(status, 0):,}")
    jobs.add_row("stops that wait for their start", f"{database.parked:,}")
    rejections = Table("rejections", "", box=None, pad_edge=False)
    rejections.columns[1].justify = "right"
    for code, count in sorted(database.rejections.items(), key=lambda item: -item[1]):
        rejections.add_row(code, f"{count:,}")
    if not database.rejections:
        rejections.add_row("none", "0")
    console = Console()
    console.print(log, "", jobs, "", rejections, sep="\n")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
