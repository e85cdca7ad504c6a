"""One event after the other: which rule decides, and how a refusal is recorded."""

from services.jobstore.rules import edits, jobs
from services.jobstore.rules.world import Decision, Limits, ParkedStop, Refusal, World
from shared.domain import reasons
from shared.domain.events import (
    Event,
    IntakeRejected,
    JobImported,
    JobsMeasured,
    JobStarted,
    JobStopped,
    LogContinued,
    TagCreated,
    TagRemoved,
    encode,
)
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable

_EXCERPT = 512
_TEXT = 500  # names inside come from outside


def fold(world: World, record: Recorded | Unreadable, limits: Limits) -> Decision:
    """Apply one event to the world; a refusal is added to it as a row too."""
    if isinstance(record, Unreadable):
        why = record.reason
        world.refusals.append(
            Refusal(record.sequence, f"log:{record.sequence}", record.time, why.code, why.text, record.excerpt, field=why.field)
        )
        return Decision("refused", None, why.code, why.text)
    event = record.event
    match event:
        case JobStarted():
            decision = jobs.start(world, record, event, limits)
        case JobStopped():
            decision = jobs.stop(world, record, event)
        case JobImported():
            decision = jobs.import_(world, record, event)
        case IntakeRejected():
            world.refusals.append(_intake_refusal(record, event))
            return Decision("applied")
        case LogContinued():
            return Decision("applied")
        case JobsMeasured():
            decision = edits.measure(world, record, event)
        case TagCreated():
            decision = edits.create_tag(world, record, event)
        case TagRemoved():
            decision = edits.remove_tag(world, record, event)
        case _:
            decision = edits.edit_job(world, record, event)  # type: ignore[arg-type]  # those of nodes are in another stream
    if decision.kind == "refused":
        world.refusals.append(refusal(record, event, decision))
    elif decision.kind == "applied" and decision.job in world.jobs:
        world.jobs[decision.job].set(changed_seq=record.sequence)
    return decision


def refusal(record: Recorded, event: Event, decision: Decision) -> Refusal:
    assert decision.code is not None
    origin = IntakeOrigin.of(record.message_id)
    return Refusal(
        sequence=record.sequence,
        origin=record.message_id or f"log:{record.sequence}",
        time=record.time,
        code=decision.code,
        text=(decision.text or "")[:_TEXT],
        excerpt=encode(event)[:_EXCERPT].decode("utf-8", "replace"),
        intake_sequence=origin.sequence if origin else None,
        line=origin.line if origin else None,
        job_id=getattr(event, "job_id", None),
        cluster=event.subject_cluster,
    )


def expired_stop(parked: ParkedStop, decision: Decision, now: float) -> Refusal:
    """The row of a stop that waited in vain."""
    record = Recorded(parked.sequence, parked.stop, now, message_id=parked.origin)
    return refusal(record, parked.stop, decision)


def _intake_refusal(record: Recorded, event: IntakeRejected) -> Refusal:
    return Refusal(
        sequence=record.sequence,
        origin=record.message_id or f"log:{record.sequence}",
        time=record.time,
        code=event.code,
        text=event.text,
        excerpt=event.excerpt,
        field=event.field,
        subject=event.subject,
        intake_sequence=event.sequence,
        line=event.line,
    )


def buried(record: Recorded | Unreadable, why: str) -> Refusal:
    """The row of an event that the database did not take."""
    excerpt = record.excerpt if isinstance(record, Unreadable) else encode(record.event)[:_EXCERPT].decode("utf-8", "replace")
    return Refusal(record.sequence, f"log:{record.sequence}", record.time, reasons.INTERNAL, why[:_TEXT], excerpt)
