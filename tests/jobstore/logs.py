"""Events as they stand in a log, and the ways to apply them: in memory, and through the store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.events import EventsApplier
from services.jobstore.rules import Decision, JobHead, Limits, World, fold
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import Event
from shared.domain.recorded import Recorded, Unreadable
from tests.support.builders import START_TIME

DAY = 86_400
RECEIVED = float(START_TIME + 10 * DAY)  # when events of which the time does not matter reached the log

Record = Recorded | Unreadable


def record(sequence: int, event: Event, at: float = RECEIVED, message_id: str | None = None, stored_at: float | None = None) -> Recorded:
    """An event that the log stored when it happened, unless ``stored_at`` is given."""
    stored = at if stored_at is None else stored_at
    return Recorded(sequence, event, at, message_id=f"m{sequence}" if message_id is None else message_id, stored_at=stored)


def records(events: Iterable[Event], first: int = 1, at: float = RECEIVED) -> list[Recorded]:
    """The events under consecutive sequences."""
    return [record(sequence, event, at) for sequence, event in enumerate(events, first)]


@dataclass
class Memory:
    """The rules over a world in memory; sequences go on from call to call."""

    limits: Limits = field(default_factory=Limits)
    world: World = field(default_factory=World)
    sequence: int = 0

    def apply(self, *events: Event) -> list[Decision]:
        return [self.apply_one(event) for event in events]

    def apply_one(self, event: Event, at: float = RECEIVED, message_id: str | None = None) -> Decision:
        self.sequence += 1
        return fold(self.world, record(self.sequence, event, at, message_id), self.limits)

    def job(self, id_: int) -> JobHead:
        return self.world.jobs[id_]

    def states(self) -> list[tuple[int, str, int]]:
        """Start, state and duration of every job, by start."""
        return sorted((job.start_time, str(job.job_state), job.duration) for job in self.world.jobs.values())

    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.world.refusals]


def split(log: Sequence[Record], sizes: Iterable[int]) -> Iterator[Sequence[Record]]:
    """The log in batches of these sizes, the rest in one."""
    at = 0
    for size in sizes:
        if at < len(log):
            yield log[at : at + size]
            at += size
    if at < len(log):
        yield log[at:]


async def apply(engine: AsyncEngine, *batches: Sequence[Record], limits: Limits | None = None) -> list[Decision]:
    """Each batch in a transaction of its own, as the projection does; positions are left alone."""
    applier = EventsApplier(tables, limits or Limits())
    decisions: list[Decision] = []
    for batch in batches:
        async with transaction(engine) as connection:
            decisions += await applier.apply(connection, batch)
    return decisions


async def clear(engine: AsyncEngine) -> None:
    """Empty every table."""
    async with transaction(engine) as connection:
        for table in tables.all():
            await connection.execute(delete(table))
