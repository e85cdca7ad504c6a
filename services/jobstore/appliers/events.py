"""Applies batches of the stream EVENTS: load the jobs, apply the rules, save the changes, in the caller's transaction."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from services.jobstore.appliers.job_store import JobStore
from services.jobstore.restoring import Restorer
from services.jobstore.rules import Decision, Limits, UnitOfWork, fold
from services.jobstore.rules.ends import expire, supersede
from services.jobstore.rules.fold import buried, expired_stop
from shared.broker.streams import EVENTS
from shared.database.tables import ProjectionTables
from shared.domain.events import Event, HousekeepingDue, JobRestored, RefusalsDismissed, RowsRestored
from shared.domain.recorded import Recorded, Unreadable

MAX_DUE = 5000  # parked stops, and scheduler ids, per HousekeepingDue; the next event handles the rest

# Events that work directly on the tables, without the rules.
_ON_TABLES = frozenset((HousekeepingDue, JobRestored, RefusalsDismissed, RowsRestored))

Batch = Sequence[Recorded | Unreadable]


class EventsApplier:
    """The applier of EVENTS, for one set of tables."""

    def __init__(self, tables: ProjectionTables, limits: Limits) -> None:
        self._tables = tables
        self._store = JobStore(tables)
        self._restorer = Restorer(tables)
        self._limits = limits

    def apply(self, connection: Connection, batch: Batch) -> list[Decision]:
        """One decision per event, in order.

        Housekeeping, dismissals and restored states work directly on the tables, so the changes before them are written first.
        """
        decisions: list[Decision] = []
        for part in _parts(batch):
            first = part[0]
            if isinstance(first, Recorded) and isinstance(first.event, HousekeepingDue):
                decisions.append(self._keep_house(connection, first, first.event))
                continue
            if isinstance(first, Recorded) and isinstance(first.event, JobRestored | RowsRestored):
                decisions += self._restore(connection, part)
                continue
            if isinstance(first, Recorded) and isinstance(first.event, RefusalsDismissed):
                self._store.dismiss(connection, first.event.sequences, EVENTS)
                decisions.append(Decision("applied"))
                continue
            work = self._store.load(connection, part)
            decisions += [fold(work, record, self._limits) for record in part]
            self._store.save(connection, work)
        return decisions

    def bury(self, connection: Connection, record: Recorded | Unreadable, why: str) -> None:
        """Record an event that is readable but cannot be applied, which indicates a bug."""
        self._store.save_refusals(connection, [buried(record, why)])

    def _restore(self, connection: Connection, part: Batch) -> list[Decision]:
        jobs = [record.event for record in part if isinstance(record, Recorded) and isinstance(record.event, JobRestored)]
        if jobs:
            self._restorer.jobs(connection, jobs)
        for record in part:
            if isinstance(record, Recorded) and isinstance(record.event, RowsRestored):
                self._restorer.rows(connection, record.event, EVENTS)
        return [Decision("applied")] * len(part)

    def _keep_house(self, connection: Connection, record: Recorded, due: HousekeepingDue) -> Decision:
        """Handle parked stops, then superseded runs, then overdue jobs. Each kind starts only when nothing of the previous one is due.

        A parked stop may end a run that would otherwise be superseded, and a superseded run is not overdue.
        """
        now = record.stored_at
        parked = self._store.parked(connection, self._tables.parked_stop.c.parked_at < now - due.parked_stop_ttl_s, MAX_DUE)
        may_supersede = len(parked) < MAX_DUE
        superseded = self._store.superseded(connection, now, MAX_DUE) if may_supersede else []
        may_presume_dead = may_supersede and len(superseded) < MAX_DUE
        work = UnitOfWork()
        found: list[Decision] = []
        if job_ids := sorted({stop.stop.job_id for stop in parked} | set(superseded)):
            self._store.load_runs(connection, work, job_ids)
            self._store.load_deleted(connection, work, job_ids)
        for stop in parked:
            decision = expire(work, stop, record, self._limits)
            found.append(decision)
            if decision.kind == "refused":
                work.refusals.append(expired_stop(stop, decision, now))
        waited = [run for run in work.jobs.values() if run.is_running and run.unsettled_until is not None and run.unsettled_until < now]
        if may_supersede:
            found += [supersede(work, run, record) for run in sorted(waited, key=lambda run: run.id)]
        self._store.save(connection, work)
        self._store.forget_parked(connection, [stop.sequence for stop in parked])
        self._store.forget_refusals(connection, now - due.rejection_retention_s)
        if may_presume_dead and due.walltime_grace_s is not None:
            self._store.presume_dead(connection, record.sequence, int(now), due.walltime_grace_s)
        return Decision("applied", oddities=tuple(code for decision in found for code in decision.oddities))


def _parts(batch: Batch) -> Iterator[Batch]:
    """Split the batch around events that work directly on the tables. Of these, only restored jobs are grouped."""
    part: list[Recorded | Unreadable] = []
    before: type[Event] | None = None
    for record in batch:
        kind = type(record.event) if isinstance(record, Recorded) else None
        if kind not in _ON_TABLES:
            kind = None
        if part and not (before == kind in (None, JobRestored)):
            yield part
            part = []
        part.append(record)
        before = kind
    if part:
        yield part
