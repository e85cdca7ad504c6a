"""The events that a history stands for, made from its rows."""

from collections.abc import Iterator

import orjson

from bench.history.jobs import COLUMNS, Chunk, History, Row
from bench.history.people import PEOPLE
from services.jobstore.rules.unit_of_work import TAGS_PER_EVENT
from shared.domain.events import Event, JobImported, JobStarted, Tag, TagCreated
from shared.domain.payloads import Resource
from shared.domain.values import JobState


def history_events(history: History) -> Iterator[Event]:
    """In the order of their sequences, from 1 on."""
    tags = [Tag(type=tag.type, name=tag.name, scope=tag.scope) for tag in PEOPLE.tags]
    yield from (TagCreated(tag=tag) for tag in tags)
    for chunk in history.chunks():
        yield from _job_events(chunk, tags)


def _job_events(chunk: Chunk, tags: list[Tag]) -> Iterator[Event]:
    of_job: dict[int, list[Tag]] = {}
    for job, tag in chunk.jobtags:
        of_job.setdefault(job, []).append(tags[tag // TAGS_PER_EVENT - 1])
    for row in chunk.rows():
        yield _job_event(row, of_job.get(row[0], []))


def _job_event(row: Row, tags: list[Tag]) -> Event:
    job = dict(zip(COLUMNS, row, strict=True))
    facts = JobStarted(
        job_id=job["job_id"],
        cluster=job["cluster"],
        sub_cluster=job["subcluster"],
        user=job["hpc_user"],
        start_time=job["start_time"],
        resources=[Resource.model_validate(resource) for resource in orjson.loads(job["resources"])],
        num_nodes=job["num_nodes"],
        partition=job["cluster_partition"],
        project=job["project"],
        shared=job["shared"],
        array_job_id=job["array_job_id"],
        walltime=job["walltime"],
        requested_memory=job["requested_memory"],
        submit_time=job["submit_time"],
        smt=job["smt"],
        num_acc=job["num_acc"],
        num_hwthreads=job["num_hwthreads"],
        monitoring_status=job["monitoring_status"],
        meta_data=orjson.loads(job["meta_data"]),
        footprint=orjson.loads(job["footprint"] or "null"),
        energy=job["energy"],
        energy_footprint=orjson.loads(job["energy_footprint"] or "null"),
        tags=tags,
    )
    if job["job_state"] == JobState.RUNNING:
        return facts
    return JobImported(**dict(facts), job_state=JobState(job["job_state"]), duration=job["duration"])
