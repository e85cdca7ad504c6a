"""The rule for jobs that are taken over from another database, where they may still change."""

import hashlib
from typing import Any

import orjson

from services.jobstore.rules.ends import Ends, forget_end
from services.jobstore.rules.jobs import JOB_NAME_KEY, metadata, new_job, row_of, storable
from services.jobstore.rules.unit_of_work import Decision, JobHead, Limits, UnitOfWork
from shared.domain.events import JobTakenOver, Tag
from shared.domain.recorded import Recorded
from shared.domain.values import ARCHIVED, JobState

_IDENTITY = frozenset(("id", "job_id", "cluster", "start_time"))
_OWN = frozenset(
    ("meta_data", "job_name", "stop_seq", "is_overdue", "unsettled_until", "archive_due", "advice", "archiving_failure", "changed_seq")
)  # handled apart
_END = frozenset(("job_state", "duration"))
_ARCHIVED = ("monitoring_status", "footprint", "energy", "energy_footprint")


def take_over(work: UnitOfWork, record: Recorded, event: JobTakenOver, limits: Limits) -> Decision:
    """Add the run, or apply what has changed there since it was taken over.

    Nothing that happened here is undone: an end by a stop, an archive entry, and tags and metadata that people added, changed or
    removed, unless the same one has changed there as well.
    """
    known = next((run for run in work.runs_of(event.job_id, event.cluster) if run.start_time == event.start_time), None)
    if known is None:
        job = new_job(work, record, event, event.job_state, event.duration)
    else:
        before = _state(known)
        if before.get("digest") == event.digest and event.former_id in (None, known.former_id):
            return Decision("duplicate", known.id)
        job = known
        _follow(work, record, event, job, before)
    job.set(former_id=job.former_id if event.former_id is None else event.former_id, former_state=_new_state(event, job))
    ends = Ends(work, record, limits)
    ends.settle(event.job_id)
    return Decision("applied", job.id, oddities=ends.oddities)


def former_tags(job: JobHead) -> list[Tag]:
    """The tags that the job had there when it was last read."""
    return [Tag(type=type_, name=name, scope=scope) for type_, name, scope in _state(job).get("tags", ())]


def _state(job: JobHead) -> dict[str, Any]:
    state: dict[str, Any] = orjson.loads(job.former_state) if job.former_state else {}
    return state


def _new_state(event: JobTakenOver, job: JobHead) -> str:
    tags, texts = sorted(tag.key for tag in event.tags), brought_metadata(metadata(event))
    return orjson.dumps({"digest": event.digest, "tags": tags, "metadata": texts, "stop": job.stop_seq}).decode()


def brought_metadata(texts: dict[str, str] | None) -> dict[str, str]:
    """A digest for each key, because texts such as job scripts are long."""
    return {key: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for key, text in sorted((texts or {}).items())}


def _follow(work: UnitOfWork, record: Recorded, event: JobTakenOver, run: JobHead, before: dict[str, Any]) -> None:
    facts = row_of(run.id, event, event.job_state, event.duration)
    facts = {name: value for name, value in facts.items() if name not in _IDENTITY | _OWN and value is not None}
    if run.monitoring_status == ARCHIVED != event.monitoring_status:
        facts = {name: value for name, value in facts.items() if name not in _ARCHIVED}
    has_ended_there = event.job_state != JobState.RUNNING
    if run.is_open and has_ended_there:
        run.set(**facts, stop_seq=record.sequence, is_overdue=0, unsettled_until=None, archive_due=None)
        forget_end(run)
    elif run.is_open:
        run.set(**{name: value for name, value in facts.items() if name not in _END})
    elif has_ended_there and before.get("stop", -1) == run.stop_seq:  # the end is the one that was taken over
        run.set(**facts)
    elif has_ended_there and event.monitoring_status == ARCHIVED:
        run.set(**{name: facts[name] for name in _ARCHIVED if name in facts})
    _follow_metadata(event, run, before.get("metadata", {}))
    had, has = {tag.key for tag in former_tags(run)}, {tag.key for tag in event.tags}
    work.jobtags -= {(run.id, work.tags[key]) for key in had - has if key in work.tags}
    work.jobtags |= {(run.id, work.tag_id(tag, record.sequence)) for tag in event.tags if tag.key not in had}


def _follow_metadata(event: JobTakenOver, run: JobHead, had: dict[str, str]) -> None:
    texts = metadata(event) or {}
    has = brought_metadata(texts)
    changes = {key: texts.get(key) for key in sorted(had.keys() | has.keys()) if had.get(key) != has.get(key)}
    run.metadata_changes |= changes
    if JOB_NAME_KEY in changes:
        run.set(job_name=storable(changes[JOB_NAME_KEY]))
