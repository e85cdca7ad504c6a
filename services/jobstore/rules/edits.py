"""What people and the archiver do to jobs: tags, metadata, deletion, archiving, footprints."""

import orjson

from services.jobstore.rules.jobs import JOB_NAME_KEY, storable
from services.jobstore.rules.world import Decision, JobHead, World
from shared.domain import reasons
from shared.domain.events import (
    JobArchived,
    JobArchiveRequested,
    JobArchivingFailed,
    JobDeleted,
    JobMetadataEdited,
    JobsMeasured,
    JobTagged,
    JobUntagged,
    TagCreated,
    TagRemoved,
)
from shared.domain.recorded import Recorded
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_OPEN, JobState

_JobEdit = JobTagged | JobUntagged | JobMetadataEdited | JobDeleted | JobArchiveRequested | JobArchived | JobArchivingFailed


def edit_job(world: World, record: Recorded, event: _JobEdit) -> Decision:
    """An event that names a job by its database id."""
    job = world.jobs.get(event.id)
    if job is None and isinstance(event, JobArchived | JobArchivingFailed):
        return Decision("duplicate")  # deleted while it was archived: nothing is left to change
    if job is None:
        return Decision("refused", None, reasons.JOB_NOT_FOUND, f"there is no job with the id {event.id}")
    match event:
        case JobTagged():
            return _tag(world, record, event, job)
        case JobUntagged():
            return _untag(world, event, job)
        case JobMetadataEdited():
            job.metadata_changes[event.key] = event.value
            if event.key == JOB_NAME_KEY:
                job.set(job_name=storable(event.value))
        case JobDeleted():
            world.forget(job, record.sequence)
        case JobArchiveRequested():
            if job.job_state == JobState.RUNNING:
                return Decision("refused", job.id, reasons.JOB_STILL_RUNNING, f"job {job.job_id} is still running")
            job.set(monitoring_status=MONITORING_OPEN)
        case JobArchived():
            job.set(
                monitoring_status=ARCHIVED,
                footprint=_json(event.footprint),
                energy=event.energy,
                energy_footprint=_json(event.energy_footprint),
            )
        case JobArchivingFailed():
            job.set(monitoring_status=ARCHIVING_FAILED)
    return Decision("applied", job.id)


def measure(world: World, record: Recorded, event: JobsMeasured) -> Decision:
    """Only jobs that still run are changed: of an ended one the archive has the last word."""
    running = [(job, found) for found in event.jobs if (job := world.jobs.get(found.id)) is not None and job.job_state == JobState.RUNNING]
    for job, found in running:
        job.set(
            footprint=_json(found.footprint),
            energy=found.energy,
            energy_footprint=_json(found.energy_footprint),
            changed_seq=record.sequence,
        )
    return Decision("applied" if running else "duplicate")


def _tag(world: World, record: Recorded, event: JobTagged, job: JobHead) -> Decision:
    before = len(world.jobtags)
    for tag in event.tags:
        world.jobtags.add((job.id, world.tag_id(tag, record.sequence)))
    return Decision("applied" if len(world.jobtags) > before else "duplicate", job.id)


def _untag(world: World, event: JobUntagged, job: JobHead) -> Decision:
    unknown = [tag for tag in event.tags if tag.key not in world.tags]
    if unknown:
        return Decision("refused", job.id, reasons.TAG_NOT_FOUND, f"there is no tag {unknown[0].type}/{unknown[0].name}/{unknown[0].scope}")
    before = len(world.jobtags)
    world.jobtags -= {(job.id, world.tags[tag.key]) for tag in event.tags}
    return Decision("applied" if len(world.jobtags) < before else "duplicate", job.id)


def create_tag(world: World, record: Recorded, event: TagCreated) -> Decision:
    if event.tag.key in world.tags:
        return Decision("duplicate")
    world.tag_id(event.tag, record.sequence)
    return Decision("applied")


def remove_tag(world: World, record: Recorded, event: TagRemoved) -> Decision:
    tag = event.tag
    if not world.remove_tag(tag, record.sequence):
        return Decision("refused", None, reasons.TAG_NOT_FOUND, f"there is no tag {tag.type}/{tag.name}/{tag.scope}")
    return Decision("applied")


def _json(value: dict[str, float]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
