"""Dispatches each event to its rule, and records refusals."""

from services.jobstore.rules import edits, ends, jobs
from services.jobstore.rules.takeover import take_over
from services.jobstore.rules.unit_of_work import Decision, Limits, ParkedStop, Refusal, UnitOfWork
from shared.domain import reasons
from shared.domain.events import (
    ApplicationsDetected,
    Event,
    IntakeRejected,
    JobImported,
    JobsMeasured,
    JobStarted,
    JobStopped,
    JobTakenOver,
    LogContinued,
    TagCreated,
    TagRemoved,
    encode,
)
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable

_EXCERPT = 512
_TEXT = 500  # characters; texts contain names from outside


def fold(work: UnitOfWork, record: Recorded | Unreadable, limits: Limits) -> Decision:
    """Apply one event. A refusal is also added to the unit of work as a row."""
    if isinstance(record, Unreadable):
        work.refusals.append(unreadable(record))
        return Decision("refused", None, record.reason.code, record.reason.text)
    event = record.event
    if record.replays:
        work.handle_again(record.replays, record.time)
    match event:
        case JobStarted():
            decision = jobs.start(work, record, event, limits)
        case JobStopped():
            decision = ends.stop(work, record, event, limits)
        case JobImported():
            decision = jobs.import_(work, record, event, limits)
        case JobTakenOver():
            decision = take_over(work, record, event, limits)
        case IntakeRejected():
            work.refusals.append(intake_refusal(record, event))  # from logs of earlier versions; now they are in REJECTIONS
            return Decision("applied")
        case LogContinued():
            return Decision("applied")
        case JobsMeasured():
            decision = edits.measure(work, record, event)
        case ApplicationsDetected():
            decision = edits.tag_applications(work, record, event)
        case TagCreated():
            decision = edits.create_tag(work, record, event)
        case TagRemoved():
            decision = edits.remove_tag(work, record, event)
        case _:
            decision = edits.edit_job(work, record, event)  # type: ignore[arg-type]  # events about nodes are in another stream
    if decision.kind == "refused":
        work.refusals.append(refusal(record, event, decision))
    elif decision.kind == "applied" and decision.job in work.jobs:
        work.jobs[decision.job].touch(record.sequence)
    return decision


def refusal(record: Recorded, event: Event, decision: Decision) -> Refusal:
    assert decision.code is not None
    origin = IntakeOrigin.of(record.origin)
    return Refusal(
        sequence=record.sequence,
        origin=record.origin or f"log:{record.sequence}",
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
    """The row for a parked stop whose start did not arrive in time."""
    record = Recorded(parked.sequence, parked.stop, now, message_id=parked.origin)
    return refusal(record, parked.stop, decision)


def intake_refusal(record: Recorded, event: IntakeRejected) -> Refusal:
    """The row for input that was refused before it became an event."""
    return Refusal(
        sequence=record.sequence,
        origin=record.origin or f"log:{record.sequence}",
        time=record.time,
        code=event.code,
        text=event.text,
        excerpt=event.excerpt,
        field=event.field,
        subject=event.subject,
        intake_sequence=event.sequence,
        line=event.line,
    )


def unreadable(record: Unreadable) -> Refusal:
    """The row for a message that this version cannot read as an event."""
    why = record.reason
    return Refusal(record.sequence, f"log:{record.sequence}", record.time, why.code, why.text, record.excerpt, field=why.field)


def buried(record: Recorded | Unreadable, why: str) -> Refusal:
    """The row for an event that could not be applied."""
    excerpt = record.excerpt if isinstance(record, Unreadable) else encode(record.event)[:_EXCERPT].decode("utf-8", "replace")
    return Refusal(record.sequence, f"log:{record.sequence}", record.time, reasons.INTERNAL, why[:_TEXT], excerpt)
