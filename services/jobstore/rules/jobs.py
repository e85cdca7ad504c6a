"""Rules for starts and imports. Stops are in ``ends``."""

from typing import Any, overload

import orjson
from pydantic import TypeAdapter

from services.jobstore.rules.ends import Ends, certain_run_around, forget_end
from services.jobstore.rules.unit_of_work import Decision, JobHead, Limits, UnitOfWork
from shared.domain import oddities, reasons
from shared.domain.events import JobFacts, JobImported, JobStarted
from shared.domain.payloads import MetricStatistics, Resource
from shared.domain.recorded import Recorded
from shared.domain.values import JobState

_RESOURCES = TypeAdapter(list[Resource])
_STATISTICS = TypeAdapter(dict[str, MetricStatistics])
JOB_NAME_KEY = "jobName"


def start(work: UnitOfWork, record: Recorded, event: JobStarted, limits: Limits) -> Decision:
    """Add a run, unless it is known, has since been deleted, or lies within a run whose end is confirmed.

    It need not be the latest run of its id, since events of an adapter may arrive in any order. Parked stops are applied.
    """
    runs = work.runs_of(event.job_id, event.cluster)
    for run in runs:
        if run.start_time == event.start_time:
            return Decision("duplicate", run.id)
    if any(run.start_time == event.start_time for run in work.deleted_before(record, event.job_id, event.cluster)):
        return Decision("duplicate")
    if (around := certain_run_around(runs, event.start_time, record.stored_at)) is not None:
        lasted = f"ran from {around.start_time} to {around.stop_time}, across the start at {event.start_time}"
        return Decision("refused", around.id, reasons.DUPLICATE_JOB, f"job {event.job_id} on {event.cluster} {lasted}")
    job = new_job(work, record, event, JobState.RUNNING, 0)
    ends = Ends(work, record, limits)
    ends.settle(event.job_id)
    return Decision("applied", job.id, oddities=ends.oddities)


def import_(work: UnitOfWork, record: Recorded, event: JobImported, limits: Limits) -> Decision:
    """Add a finished job. If the run is known and still open, the import ends it and replaces the stored fields.

    Fields without a value in the import, other metadata and other tags are unchanged, because users may have added them.
    A run that has ended is not changed.
    """
    known = next((run for run in work.runs_of(event.job_id, event.cluster) if run.start_time == event.start_time), None)
    if known is not None and not known.is_open:
        return Decision("duplicate", known.id)
    if known is None:
        job = new_job(work, record, event, event.job_state, event.duration)
    else:
        job = known
        _replace_facts(work, record, event, job)
    ends = Ends(work, record, limits)
    ends.settle(event.job_id)
    return Decision("applied", job.id, oddities=ends.oddities)


def _replace_facts(work: UnitOfWork, record: Recorded, event: JobImported, run: JobHead) -> None:
    facts = row_of(run.id, event, event.job_state, event.duration) | {"stop_seq": record.sequence, "changed_seq": record.sequence}
    same = {"id", "job_id", "cluster", "start_time", "meta_data"}  # metadata are merged
    cleared = {"unsettled_until", "archive_due"}
    run.set(**{name: value for name, value in facts.items() if name not in same and (value is not None or name in cleared)})
    forget_end(run)
    run.metadata_changes |= metadata(event) or {}
    _attach_tags(work, record, event, run)


def new_job(work: UnitOfWork, record: Recorded, event: JobFacts, state: JobState, duration: int) -> JobHead:
    job = JobHead(
        id=record.sequence,
        job_id=event.job_id,
        cluster=event.cluster,
        start_time=event.start_time,
        job_state=state.value,
        duration=duration,
        monitoring_status=event.monitoring_status,
        row=row_of(record.sequence, event, state, duration),
    )
    work.know(job)
    _attach_tags(work, record, event, job)
    return job


def _attach_tags(work: UnitOfWork, record: Recorded, event: JobFacts, job: JobHead) -> None:
    for tag in event.tags:
        work.jobtags.add((job.id, work.tag_id(tag, record.sequence)))


def metadata(event: JobFacts) -> dict[str, str] | None:
    if not event.oddities:
        return event.meta_data
    return (event.meta_data or {}) | {oddities.START_KEY: oddities.as_text(event.oddities)}


def row_of(sequence: int, event: JobFacts, state: JobState, duration: int) -> dict[str, Any]:
    return {
        "id": sequence,
        "job_id": event.job_id,
        "cluster": event.cluster,
        "subcluster": event.sub_cluster,
        "submit_time": event.submit_time,
        "start_time": event.start_time,
        "hpc_user": event.user,
        "project": event.project,
        "cluster_partition": event.partition,
        "array_job_id": event.array_job_id,
        "duration": duration,
        "walltime": event.walltime,
        "job_state": state.value,
        "meta_data": _json(metadata(event)),
        "resources": _RESOURCES.dump_json(event.resources, by_alias=True, exclude_defaults=True).decode(),
        "num_nodes": event.num_nodes,
        "num_hwthreads": event.num_hwthreads,
        "num_acc": event.num_acc,
        "smt": event.smt,
        "shared": event.shared,
        "monitoring_status": event.monitoring_status,
        "energy": event.energy,
        "energy_footprint": _json(event.energy_footprint),
        "footprint": _json(event.footprint),
        "requested_memory": event.requested_memory,
        "statistics": None if event.statistics is None else _STATISTICS.dump_json(event.statistics, by_alias=True).decode(),
        "stop_seq": None,
        "is_overdue": 0,
        "unsettled_until": None,
        "archive_due": None,
        "advice": None,
        "archiving_failure": None,
        "former_id": None,
        "former_state": None,
        "job_name": storable(event.meta_data.get(JOB_NAME_KEY)) if event.meta_data else None,
        "hosts": storable(f" {' '.join([resource.hostname for resource in event.resources])} "),
        "changed_seq": sequence,
    }


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
def storable(text: str | None) -> str | None:
    """The text without NUL, which PostgreSQL cannot store in a text column. Inside JSON it is escaped and harmless."""
    return text if text is None or "\0" not in text else text.replace("\0", "\ufffd")


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
