"""Batches of the EVENTS stream: load, fold, save, in the caller's transaction."""

from collections.abc import Iterator, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.jobstore.rules import Decision, Limits, World, fold
from services.jobstore.rules.fold import buried, expired_stop
from services.jobstore.rules.jobs import expire
from services.jobstore.store import JobStore
from shared.database.tables import ProjectionTables
from shared.domain.events import HousekeepingDue
from shared.domain.recorded import Recorded, Unreadable

Batch = Sequence[Recorded | Unreadable]


class EventsApplier:
    """Applies events to one set of tables."""

    def __init__(self, tables: ProjectionTables, limits: Limits) -> None:
        self._tables = tables
        self._store = JobStore(tables)
        self._limits = limits

    async def apply(self, connection: AsyncConnection, batch: Batch) -> list[Decision]:
        """One decision per event, in order. Housekeeping acts on whole tables, so what came before it is written first."""
        decisions: list[Decision] = []
        for part in _parts(batch):
            first = part[0]
            if isinstance(first, Recorded) and isinstance(first.event, HousekeepingDue):
                await self._keep_house(connection, first, first.event)
                decisions.append(Decision("applied"))
                continue
            world = await self._store.load(connection, part)
            decisions += [fold(world, record, self._limits) for record in part]
            await self._store.save(connection, world)
        return decisions

    async def bury(self, connection: AsyncConnection, record: Recorded | Unreadable, why: str) -> None:
        """Record an event that cannot be applied although it can be read: a fault of ours, to be looked at."""
        await self._store.save_refusals(connection, [buried(record, why)])

    async def _keep_house(self, connection: AsyncConnection, record: Recorded, due: HousekeepingDue) -> None:
        now = record.stored_at
        parked = await self._store.parked(connection, self._tables.parked_stop.c.parked_at < now - due.parked_stop_ttl_s)
        if parked:
            world = World()
            await self._store.load_runs(connection, world, {stop.stop.job_id for stop in parked})
            refusals = [expired_stop(stop, expire(stop, world.runs_of(stop.stop.job_id, None)), now) for stop in parked]
            await self._store.save_refusals(connection, refusals)
            await self._store.forget_parked(connection, [stop.sequence for stop in parked])
        await self._store.forget_refusals(connection, now - due.rejection_retention_s)
        if due.walltime_grace_s is not None:
            await self._store.presume_dead(connection, record.sequence, int(now), due.walltime_grace_s)


def _parts(batch: Batch) -> Iterator[Batch]:
    """The batch cut around housekeeping."""
    first = 0
    for index, record in enumerate(batch):
        if isinstance(record, Recorded) and isinstance(record.event, HousekeepingDue):
            if index > first:
                yield batch[first:index]
            yield [record]
            first = index + 1
    if first < len(batch):
        yield batch[first:]
