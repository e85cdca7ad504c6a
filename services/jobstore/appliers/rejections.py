"""Applies batches of the stream REJECTIONS: rows for input that never became an event. The job rules do not read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from services.jobstore.appliers.job_store import JobStore
from services.jobstore.restoring import Restorer
from services.jobstore.rules import Decision
from services.jobstore.rules.fold import buried, intake_refusal, unreadable
from services.jobstore.rules.unit_of_work import Refusal
from shared.broker.streams import REJECTIONS
from shared.database.tables import ProjectionTables
from shared.domain.events import IntakeRejected, IntakeReplayed, RejectionsDismissed, RejectionsDue, RowsRestored
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable


@dataclass
class _Part:
    """Changes to be written together: rejections of ``replayed`` messages are deleted, ``refusals`` are added."""

    replayed: list[tuple[IntakeReplayed, float]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def replay(self, message: IntakeReplayed, time: float) -> None:
        self.replayed.append((message, time))
        name = (message.stream, message.sequence, message.stored_us)
        self.refusals = [refusal for refusal in self.refusals if _message_of(refusal) != name]


def _message_of(refusal: Refusal) -> tuple[str, int, int | None] | None:
    origin = IntakeOrigin.of(refusal.origin)
    return None if origin is None else (origin.stream, origin.sequence, origin.stored_us)


class RejectionsApplier:
    """The applier of REJECTIONS, for one set of tables."""

    def __init__(self, tables: ProjectionTables) -> None:
        self._store = JobStore(tables)
        self._restorer = Restorer(tables)

    def apply(self, connection: Connection, batch: Sequence[Recorded | Unreadable]) -> list[Decision]:
        """One decision per event, in order. Changes before a dismissal or a deletion by age are written first."""
        decisions: list[Decision] = []
        part = _Part()
        for record in batch:
            if isinstance(record, Unreadable):
                part.refusals.append(_own(unreadable(record)))
                decisions.append(Decision("refused", code=record.reason.code, text=record.reason.text))
                continue
            match record.event:
                case IntakeRejected() as event:
                    part.refusals.append(_own(intake_refusal(record, event)))
                case IntakeReplayed() as event:
                    part.replay(event, record.time)
                case RowsRestored() as event:
                    part = self._write(connection, part)
                    self._restorer.rows(connection, event, REJECTIONS)
                case RejectionsDismissed() as event:
                    part = self._write(connection, part)
                    self._store.dismiss(connection, event.sequences, REJECTIONS)
                case RejectionsDue() as event:
                    part = self._write(connection, part)
                    self._store.forget_refusals(connection, record.stored_at - event.retention_s, REJECTIONS)
            decisions.append(Decision("applied"))
        self._write(connection, part)
        return decisions

    def _write(self, connection: Connection, part: "_Part") -> "_Part":
        """Write the collected changes. Returns the next, empty part."""
        if part.replayed:
            self._store.forget_replayed(connection, part.replayed)
        self._store.save_refusals(connection, part.refusals, REJECTIONS)
        return _Part()

    def bury(self, connection: Connection, record: Recorded | Unreadable, why: str) -> None:
        """Record a rejection that is readable but cannot be stored, which indicates a bug."""
        self._store.save_refusals(connection, [_own(buried(record, why))], REJECTIONS)


def _own(refusal: Refusal) -> Refusal:
    """Identify a message without an id by its stream and sequence, unlike any id in EVENTS."""
    is_unnamed = refusal.origin == f"log:{refusal.sequence}"
    return replace(refusal, origin=f"{REJECTIONS}:{refusal.sequence}") if is_unnamed else refusal
