"""Recognises a log by its events: whether the stream has the applied events at their sequences."""

from dataclasses import dataclass, replace

from nats.aio.client import Client
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import Position, Positions
from shared.broker.cursor import LogState, log_state, read_from
from shared.broker.streams import EVENTS, LOGS
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import JobImported, JobStarted, JobTakenOver
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import UserError
from shared.settings import NatsSettings

MAX_COMPARED = 100  # jobs: half of them the newest, the others spread over the log


@dataclass(frozen=True, slots=True)
class Comparison:
    """``same`` counts the events that match the applied ones; ``differs_at`` is the sequence of one that does not."""

    same: int = 0
    differs_at: int | None = None

    @property
    def is_copy(self) -> bool:
        return self.same > 0 and self.differs_at is None


async def event_at(client: Client, stream: str, sequence: int) -> Recorded | Unreadable | None:
    """The event at a sequence, or None if the log does not have it. Raises Unavailable."""
    state = await log_state(client, stream)
    if not max(1, state.first_sequence) <= sequence <= state.last_sequence:
        return None
    async with read_from(client, stream, sequence, applied=sequence) as cursor:
        batch = await cursor.batch(1)
    return batch[0] if batch and batch[0].sequence == sequence else None


async def compare(client: Client, engine: AsyncEngine, name: str, stream: str, position: Position) -> Comparison:
    """Compare the event at the position and, in EVENTS, the starts of stored jobs. ``name`` is one of ``LOGS``. Raises Unavailable."""
    same = 0
    there = await event_at(client, stream, position.sequence)
    if there is not None and position.event_time:
        if not position.is_of(there):
            return Comparison(same, position.sequence)
        same += 1
    if name != EVENTS:
        return Comparison(same)
    state = await log_state(client, stream)
    for id_, identity in (await _jobs(engine, state)).items():
        record = await event_at(client, stream, id_)
        event = record.event if isinstance(record, Recorded) else None
        if not isinstance(event, JobStarted | JobImported | JobTakenOver):
            continue  # deleted, or lost: then the log was continued and has another event in the place of the start
        if (event.job_id, event.cluster, event.start_time) != identity:
            return Comparison(same, id_)
        same += 1
    return Comparison(same)


async def is_copy(client: Client, engine: AsyncEngine, name: str, stream: str) -> bool:
    """Whether the stream has a different identity than the log that was applied, but the same events. Raises Unavailable."""
    async with transaction(engine) as connection:
        position = await Positions(tables, name).get(connection)
    if position is None or position.created == (await log_state(client, stream)).created:
        return False
    return (await compare(client, engine, name, stream, position)).is_copy


async def _jobs(engine: AsyncEngine, state: LogState) -> dict[int, tuple[int, str, int]]:
    """Identities, by id, of jobs that started in the stream."""
    job = tables.job.c
    query = select(job.id, job.job_id, job.cluster, job.start_time)
    newest = query.where(job.id.between(state.first_sequence, state.last_sequence)).order_by(job.id.desc()).limit(MAX_COMPARED // 2)
    found: dict[int, tuple[int, str, int]] = {}
    async with transaction(engine) as connection:
        rows = list(await connection.execute(newest))
        step = max(1, (state.last_sequence - state.first_sequence) // (MAX_COMPARED // 2))
        for above in range(state.first_sequence, state.last_sequence + 1, step):
            rows += await connection.execute(query.where(job.id.between(above, state.last_sequence)).order_by(job.id).limit(1))
    for row in rows:
        found[row.id] = (row.job_id, row.cluster, row.start_time)
    return found


async def adopt(client: Client, nats: NatsSettings, engine: AsyncEngine) -> list[str]:
    """Take over streams that are copies of the applied log with the same sequences, such as mirrors and restored snapshots.

    Returns one line of text for each. Raises UserError if a stream is a different log, Unavailable.
    """
    changes = []
    for name in LOGS:
        positions, stream = Positions(tables, name), nats.stream(name)
        async with transaction(engine) as connection:
            position = await positions.get(connection)
        state = await log_state(client, stream)
        if position is None or position.created == state.created:
            continue
        found = await compare(client, engine, name, stream, position)
        if not found.is_copy and position.sequence > 0:  # otherwise nothing was applied that could differ
            why = "no event shows that it is one" if found.differs_at is None else f"its event {found.differs_at} differs"
            raise UserError(f"{name} is not a copy of the log that was applied, {why}: use `jobtide provision --continue-log` instead")
        last = await event_at(client, stream, min(state.last_sequence, position.sequence))
        known = replace(position, created=state.created, log_time=last.log_time if last else 0.0)
        async with transaction(engine) as connection:
            await positions.put(connection, known)
        changes.append(f"{name} was adopted; {found.same} of its events were compared with the database")
    return changes
