"""Events as stored in a log, and ways to apply them: in memory, and through the store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.appliers.events import EventsApplier
from services.jobstore.rules import Decision, JobHead, Limits, UnitOfWork, fold
from services.jobstore.rules.ends import expire, supersede
from services.jobstore.rules.fold import expired_stop
from shared.database.engine import run, transaction
from shared.database.tables import tables
from shared.domain.events import Event, HousekeepingDue
from shared.domain.recorded import Recorded, Unreadable
from tests.support.builders import START_TIME

DAY = 86_400
RECEIVED = float(START_TIME + 10 * DAY)  # when the log stored events whose time does not matter

Record = Recorded | Unreadable


def record(sequence: int, event: Event, at: float = RECEIVED, message_id: str | None = None, stored_at: float | None = None) -> Recorded:
    """An event of the log, stored when it happened unless ``stored_at`` is given."""
    stored = at if stored_at is None else stored_at
    return Recorded(sequence, event, at, message_id=f"m{sequence}" if message_id is None else message_id, stored_at=stored)


def records(events: Iterable[Event], first: int = 1, at: float = RECEIVED) -> list[Recorded]:
    """The events with consecutive sequences."""
    return [record(sequence, event, at) for sequence, event in enumerate(events, first)]


@dataclass
class Memory:
    """The rules over a work in memory; sequences go on from call to call."""

    limits: Limits = field(default_factory=Limits)
    work: UnitOfWork = field(default_factory=UnitOfWork)
    sequence: int = 0

    def apply(self, *events: Event) -> list[Decision]:
        return [self.apply_one(event) for event in events]

    def apply_one(self, event: Event, at: float = RECEIVED, message_id: str | None = None) -> Decision:
        self.sequence += 1
        return fold(self.work, record(self.sequence, event, at, message_id), self.limits)

    def pass_time(self, at: float = RECEIVED + DAY) -> None:
        """Housekeeping after all waits are over."""
        self.sequence += 1
        due = record(self.sequence, HousekeepingDue(parked_stop_ttl_s=1, rejection_retention_s=DAY), at)
        for parked in [parked for stops in self.work.parked.values() for parked in stops]:
            decision = expire(self.work, parked, due, self.limits)
            self.work.unpark(parked)
            if decision.kind == "refused":
                self.work.refusals.append(expired_stop(parked, decision, at))
        for job in list(self.work.jobs.values()):
            if job.is_running and job.unsettled_until is not None and job.unsettled_until < at:
                supersede(self.work, job, due)

    def job(self, id_: int) -> JobHead:
        return self.work.jobs[id_]

    def states(self) -> list[tuple[int, str, int]]:
        """Start, state and duration of every job, by start."""
        return sorted((job.start_time, str(job.job_state), job.duration) for job in self.work.jobs.values())

    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.work.refusals]


def split(log: Sequence[Record], sizes: Iterable[int]) -> Iterator[Sequence[Record]]:
    """The log in batches of these sizes, and a last batch with the rest."""
    at = 0
    for size in sizes:
        if at < len(log):
            yield log[at : at + size]
            at += size
    if at < len(log):
        yield log[at:]


async def apply(engine: AsyncEngine, *batches: Sequence[Record], limits: Limits | None = None) -> list[Decision]:
    """Apply each batch in its own transaction, like the projection, but without moving positions."""
    applier = EventsApplier(tables, limits or Limits())
    decisions: list[Decision] = []
    for batch in batches:
        async with transaction(engine) as connection:
            decisions += await run(connection, partial(applier.apply, batch=batch))
    return decisions


async def clear(engine: AsyncEngine) -> None:
    """Empty every table."""
    async with transaction(engine) as connection:
        for table in tables.all():
            await connection.execute(delete(table))
