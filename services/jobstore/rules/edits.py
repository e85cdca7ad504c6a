"""Rules for changes by people and the archiver: tags, metadata, deletion, archiving, footprints."""

import orjson

from services.jobstore.rules.jobs import JOB_NAME_KEY, storable
from services.jobstore.rules.unit_of_work import Decision, JobHead, UnitOfWork
from shared.domain import advice, reasons
from shared.domain.events import (
    ADVICE_TAG_TYPE,
    ApplicationsDetected,
    JobAdvice,
    JobAdviceMuted,
    JobAdvised,
    JobArchived,
    JobArchiveRequested,
    JobArchivingFailed,
    JobDeleted,
    JobMetadataEdited,
    JobsMeasured,
    JobTagged,
    JobUntagged,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.domain.recorded import Recorded
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED, MONITORING_OPEN, JobState

_JobEdit = (
    JobTagged
    | JobUntagged
    | JobMetadataEdited
    | JobDeleted
    | JobArchiveRequested
    | JobArchived
    | JobArchivingFailed
    | JobAdvised
    | JobAdviceMuted
)


def edit_job(work: UnitOfWork, record: Recorded, event: _JobEdit) -> Decision:
    """Apply an event that names a job by its database id."""
    job = work.jobs.get(event.id)
    if job is None and isinstance(event, JobArchived | JobArchivingFailed | JobAdvised):
        return Decision("duplicate")  # deleted while it was archived
    if job is None:
        return Decision("refused", None, reasons.JOB_NOT_FOUND, f"there is no job with the id {event.id}")
    match event:
        case JobTagged():
            return _tag(work, record, event, job)
        case JobUntagged():
            return _untag(work, event, job)
        case JobMetadataEdited():
            job.metadata_changes[event.key] = event.value
            if event.key == JOB_NAME_KEY:
                job.set(job_name=storable(event.value))
        case JobDeleted():
            work.forget(job, record)
        case JobArchiveRequested():
            if job.job_state == JobState.RUNNING:
                return Decision("refused", job.id, reasons.JOB_STILL_RUNNING, f"job {job.job_id} is still running")
            job.set(archive_due=None)
            if job.monitoring_status != MONITORING_DISABLED:
                job.set(monitoring_status=MONITORING_OPEN)
        case JobArchived() | JobArchivingFailed() | JobAdvised() if event.stop_seq is not None and event.stop_seq != job.stop_seq:
            return Decision("duplicate", job.id)  # about an earlier end; the current one is archived by its own event
        case JobAdvised() if event.while_running and not job.is_running:
            return Decision("duplicate", job.id)  # the advice at the end replaces it, and may be here already
        case JobArchived():
            job.set(
                monitoring_status=ARCHIVED,
                archiving_failure=None,
                footprint=_json(event.footprint),
                energy=event.energy,
                energy_footprint=_json(event.energy_footprint),
            )
            if event.stop_seq is not None:
                job.set(archive_due=None)
        case JobArchivingFailed():
            job.set(monitoring_status=ARCHIVING_FAILED, archiving_failure=storable(event.reason))
        case JobAdvised():
            _advise(work, record, event, job)
        case JobAdviceMuted():
            return _mute(work, record, event, job)
    return Decision("applied", job.id)


def measure(work: UnitOfWork, record: Recorded, event: JobsMeasured) -> Decision:
    """Update running jobs only: the final values of an ended job come from JobArchived."""
    running = [(job, found) for found in event.jobs if (job := work.jobs.get(found.id)) is not None and job.job_state == JobState.RUNNING]
    for job, found in running:
        job.set(
            footprint=_json(found.footprint),
            energy=found.energy,
            energy_footprint=_json(found.energy_footprint),
            changed_seq=record.sequence,
        )
    return Decision("applied" if running else "duplicate")


def tag_applications(work: UnitOfWork, record: Recorded, event: ApplicationsDetected) -> Decision:
    """Tag running jobs only: those of an ended job come with its advice."""
    before = len(work.jobtags)
    for found in event.jobs:
        job = work.jobs.get(found.id)
        if job is not None and job.is_running:
            pairs = {(job.id, work.tag_id(tag, record.sequence)) for tag in found.tags}
            if not pairs <= work.jobtags:
                work.jobtags |= pairs
                job.touch(record.sequence)
    return Decision("applied" if len(work.jobtags) > before else "duplicate")


def _advise(work: UnitOfWork, record: Recorded, event: JobAdvised, job: JobHead) -> None:
    """Tags that the job had before a rule held stay when the rule no longer holds."""
    if event.advice is not None:
        before = {entry["rule"]: entry for entry in advice.entries_of(job.advice)}
        entries = [_entry(work, job, one, before.get(one.rule)) for one in event.advice]
        ended = before.keys() - {one.rule for one in event.advice}
        for rule in ended:
            _untag_rule(work, job, before[rule])
        entries += [{"rule": rule, "muted": True} for rule in sorted(ended) if before[rule].get("muted")]
        job.set(advice=advice.column_of(entries))
        muted = {entry["rule"] for entry in entries if entry.get("muted")}
    else:
        muted = set()
    for tag in event.tags:
        if tag.type != ADVICE_TAG_TYPE or tag.name not in muted:
            work.jobtags.add((job.id, work.tag_id(tag, record.sequence)))


def _entry(work: UnitOfWork, job: JobHead, one: JobAdvice, before: advice.Entry | None) -> advice.Entry:
    """As stored, with the marks that it had, or that it gets when the rule begins to hold."""
    fields = one.model_dump(exclude_defaults=True)
    if before is not None and (advice.is_holding(before) or before.get("muted")):
        return fields | advice.marks_of(before)
    return fields | ({"tagged": True} if (job.id, work.tags.get(_tag_of(one.rule).key)) in work.jobtags else {})


def _mute(work: UnitOfWork, record: Recorded, event: JobAdviceMuted, job: JobHead) -> Decision:
    entries = {entry["rule"]: entry for entry in advice.entries_of(job.advice)}
    entry = entries.get(event.rule, {"rule": event.rule})
    if bool(entry.get("muted")) == event.muted:
        return Decision("duplicate", job.id)
    if event.muted:
        _untag_rule(work, job, entry)
        entries[event.rule] = entry | {"muted": True}
    else:
        entries[event.rule] = {name: value for name, value in entry.items() if name != "muted"}
        if advice.is_holding(entry):
            work.jobtags.add((job.id, work.tag_id(_tag_of(event.rule), record.sequence)))
        else:
            del entries[event.rule]
    job.set(advice=advice.column_of(list(entries.values())))
    return Decision("applied", job.id)


def _untag_rule(work: UnitOfWork, job: JobHead, entry: advice.Entry) -> None:
    if advice.is_holding(entry) and not entry.get("tagged"):
        work.jobtags.discard((job.id, work.tags.get(_tag_of(entry["rule"]).key, 0)))


def _tag_of(rule: str) -> Tag:
    return Tag(type=ADVICE_TAG_TYPE, name=rule)


def _tag(work: UnitOfWork, record: Recorded, event: JobTagged, job: JobHead) -> Decision:
    before = len(work.jobtags)
    for tag in event.tags:
        work.jobtags.add((job.id, work.tag_id(tag, record.sequence)))
    return Decision("applied" if len(work.jobtags) > before else "duplicate", job.id)


def _untag(work: UnitOfWork, event: JobUntagged, job: JobHead) -> Decision:
    unknown = [tag for tag in event.tags if tag.key not in work.tags]
    if unknown:
        return Decision("refused", job.id, reasons.TAG_NOT_FOUND, f"there is no tag {unknown[0].type}/{unknown[0].name}/{unknown[0].scope}")
    before = len(work.jobtags)
    work.jobtags -= {(job.id, work.tags[tag.key]) for tag in event.tags}
    return Decision("applied" if len(work.jobtags) < before else "duplicate", job.id)


def create_tag(work: UnitOfWork, record: Recorded, event: TagCreated) -> Decision:
    if event.tag.key in work.tags:
        return Decision("duplicate")
    work.tag_id(event.tag, record.sequence)
    return Decision("applied")


def remove_tag(work: UnitOfWork, record: Recorded, event: TagRemoved) -> Decision:
    tag = event.tag
    if not work.remove_tag(tag, record.sequence):
        return Decision("refused", None, reasons.TAG_NOT_FOUND, f"there is no tag {tag.type}/{tag.name}/{tag.scope}")
    return Decision("applied")


def _json(value: dict[str, float]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
