"""Decides what to do about an event, given the rows after jobstore has applied it. Pure."""

from dataclasses import dataclass

from services.archiver.jobs import Found, JobRecord
from shared.domain.events import (
    JobAdviceMuted,
    JobAdvised,
    JobArchiveRequested,
    JobMetadataEdited,
    JobStopped,
    JobTagged,
    JobUntagged,
    TagRemoved,
)
from shared.domain.recorded import Recorded, Unreadable
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED

_PARKED_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Archive:
    """Write the entry. With ``is_archived``, only if there is no complete entry."""

    job: JobRecord
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Annotate:
    """Update tags and metadata of the entry, if there is one."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class RemoveTag:
    """Update the entries of all jobs that had the tag."""


@dataclass(frozen=True, slots=True)
class Later:
    """Try again after a pause."""

    pause_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Nothing:
    why: str


Verdict = Archive | Annotate | RemoveTag | Later | Nothing


def judge(record: Recorded | Unreadable, attempt: int, found: Found) -> Verdict:
    """``attempt``: number of deliveries of the event, including this one."""
    if isinstance(record, Unreadable):
        return Nothing("unreadable")
    match record.event:
        case JobStopped():
            return _stopped(record.sequence, attempt, found)
        case JobArchiveRequested(id=id_):
            return _requested(found.by_id.get(id_))
        case JobTagged(id=id_) | JobUntagged(id=id_) | JobAdvised(id=id_) | JobAdviceMuted(id=id_) | JobMetadataEdited(id=id_):
            return _annotated(found.by_id.get(id_))
        case TagRemoved():
            return RemoveTag()
        case _:
            return Nothing("foreign")


def _stopped(sequence: int, attempt: int, found: Found) -> Verdict:
    job = found.by_stop.get(sequence)
    if job is None:
        if sequence in found.parked:
            return Later(_PARKED_PAUSES_S[min(attempt, len(_PARKED_PAUSES_S)) - 1], "parked")
        return Nothing("refused")
    if job.monitoring_status == MONITORING_DISABLED:
        return Nothing("unmonitored")
    if job.monitoring_status == ARCHIVING_FAILED:
        return Nothing("failed_before")  # already visible; an archive request retries it
    return Archive(job, is_archived=job.monitoring_status == ARCHIVED)


def _requested(job: JobRecord | None) -> Verdict:
    if job is None or job.is_running:
        return Nothing("refused")
    if job.monitoring_status == MONITORING_DISABLED:
        return Nothing("unmonitored")
    if job.monitoring_status == ARCHIVING_FAILED:
        return Nothing("failed_before")
    return Archive(job, is_archived=job.monitoring_status == ARCHIVED)


def _annotated(job: JobRecord | None) -> Verdict:
    """The job may have an entry whatever its status: the entry may have been written without being reported yet."""
    if job is None or job.is_running:
        return Nothing("unarchived")  # the row already has the change when the job is archived
    return Annotate(job)
