"""Starts, stops and imports. Source: design section 7, and the event interface 2.7, 3.2 and 3.3 where it is silent."""

from dataclasses import replace
from typing import Any, overload

import orjson
from pydantic import TypeAdapter

from services.jobstore.rules.world import Decision, JobHead, Limits, ParkedStop, World
from shared.domain import oddities, reasons
from shared.domain.events import JobFacts, JobImported, JobStarted, JobStopped
from shared.domain.payloads import MetricStatistics, Resource
from shared.domain.recorded import Recorded
from shared.domain.values import MONITORING_DISABLED, MONITORING_OPEN, JobState

_RESOURCES = TypeAdapter(list[Resource])
_STATISTICS = TypeAdapter(dict[str, MetricStatistics])
RECEIVED_STATE_KEY = "receivedState"
JOB_NAME_KEY = "jobName"
MOST_WAITING = 100  # stops of one id that wait at once: each later event with this id looks at all of them


def start(world: World, record: Recorded, event: JobStarted, limits: Limits) -> Decision:
    """A new run, unless it is known already or its id is in use. A stop that waited for it is applied at once."""
    runs = world.runs_of(event.job_id, event.cluster)
    for run in runs:
        if run.start_time == event.start_time:
            return Decision("duplicate", run.id)
    in_use = [run for run in runs if _uses_id(run, event.start_time, limits)]
    if in_use:
        run = min(in_use, key=lambda r: (abs(event.start_time - r.start_time), r.id))
        return Decision(
            "refused",
            run.id,
            reasons.DUPLICATE_JOB,
            f"job {event.job_id} on {event.cluster} started at {run.start_time} already and has not stopped by {event.start_time}",
        )
    job = _new_job(world, record, event, JobState.RUNNING, 0)
    waiting = [parked for parked in world.parked.get(event.job_id, []) if parked.fits(job)]
    if waiting:
        parked = min(waiting, key=lambda p: (p.stop.stop_time, p.sequence))
        world.unpark(parked)
        _end(job, parked.stop, parked.sequence)
    return Decision("applied", job.id)


def _uses_id(run: JobHead, start_time: int, limits: Limits) -> bool:
    """Whether a start at ``start_time`` is too near to a run that had not stopped by then."""
    if abs(start_time - run.start_time) >= limits.same_id_window_s:
        return False
    return run.job_state == JobState.RUNNING or run.stop_time > start_time


def import_(world: World, record: Recorded, event: JobImported) -> Decision:
    """A finished job. A run that is known stays as it is, unless it is still open: then the import ends it."""
    for run in world.runs_of(event.job_id, event.cluster):
        if run.start_time == event.start_time:
            if not run.is_open:
                return Decision("duplicate", run.id)
            run.set(
                job_state=event.job_state.value,
                duration=event.duration,
                stop_seq=record.sequence,
                is_overdue=0,
                monitoring_status=event.monitoring_status,
                footprint=_json(event.footprint),
                energy=event.energy,
                energy_footprint=_json(event.energy_footprint),
            )
            return Decision("applied", run.id)
    job = _new_job(world, record, event, event.job_state, event.duration)
    return Decision("applied", job.id)


def stop(world: World, record: Recorded, event: JobStopped) -> Decision:
    """End the run that the stop means.

    With ``startTime`` exactly that run. Without, the running one with the latest start not after the stop; when there
    is none, the stop belongs to a start still to come. A later run that ended just like this says that the stop is a copy.
    """
    runs = world.runs_of(event.job_id, event.cluster)
    if event.start_time is not None:
        runs = [run for run in runs if run.start_time == event.start_time]
    ended = max((run for run in runs if run.is_open and run.start_time <= event.stop_time), key=_by_start, default=None)
    same = max((run for run in runs if _ended_like(run, event)), key=_by_start, default=None)
    if same is not None and (ended is None or same.start_time > ended.start_time):
        return Decision("duplicate", same.id)
    if ended is not None:
        _end(ended, event, record.sequence)
        return Decision("applied", ended.id)
    refusal = _why_not(event, runs)
    if refusal.code == reasons.STOP_BEFORE_START or not event.may_wait or (event.start_time is not None and runs):
        return refusal
    return _park(world, record, event, refusal)


def _by_start(run: JobHead) -> tuple[int, int]:
    return run.start_time, run.id


def _ended_like(run: JobHead, event: JobStopped) -> bool:
    return not run.is_open and run.stop_time == event.stop_time and run.job_state == event.job_state


def _why_not(event: JobStopped, runs: list[JobHead]) -> Decision:
    where = f"job {event.job_id}" + (f" on {event.cluster}" if event.cluster else "")
    if not runs:
        when = f" started at {event.start_time}" if event.start_time is not None else ""
        return Decision("refused", None, reasons.JOB_NOT_FOUND, f"{where}{when} is not known")
    latest = max(runs, key=_by_start)
    if latest.start_time > event.stop_time:
        return Decision(
            "refused",
            latest.id,
            reasons.STOP_BEFORE_START,
            f"{where} started at {latest.start_time}, after the stop time {event.stop_time}",
        )
    return Decision("refused", latest.id, reasons.ALREADY_STOPPED, f"{where} is {latest.job_state} since {latest.stop_time}")


def _park(world: World, record: Recorded, event: JobStopped, refusal: Decision) -> Decision:
    """``refusal`` is what becomes of it when too many wait."""
    waiting = world.parked.get(event.job_id, [])
    if any(parked.stop.stop_time == event.stop_time and parked.stop == event for parked in waiting):
        return Decision("duplicate")
    if len(waiting) >= MOST_WAITING:
        return replace(refusal, text=f"{refusal.text}, and {MOST_WAITING} stops wait for it already")
    world.park(ParkedStop(record.sequence, event, record.message_id, record.stored_at))
    return Decision("waiting")


def expire(parked: ParkedStop, runs: list[JobHead]) -> Decision:
    """The refusal of a stop that waited too long; ``runs`` are those with its id."""
    runs = [run for run in runs if parked.stop.cluster in (None, run.cluster)]
    why = _why_not(parked.stop, runs)
    if why.code == reasons.JOB_NOT_FOUND:
        return Decision("refused", None, reasons.START_NEVER_CAME, f"{why.text}: its start never came")
    return why


def _end(job: JobHead, event: JobStopped, sequence: int) -> None:
    job.set(
        job_state=event.job_state.value,
        duration=event.stop_time - job.start_time,
        stop_seq=sequence,
        is_overdue=0,
        monitoring_status=job.monitoring_status if job.monitoring_status == MONITORING_DISABLED else MONITORING_OPEN,
    )
    if event.received_state is not None:
        job.metadata_changes[RECEIVED_STATE_KEY] = event.received_state
    if event.oddities:
        job.metadata_changes[oddities.STOP_KEY] = oddities.as_text(event.oddities)


def _new_job(world: World, record: Recorded, event: JobFacts, state: JobState, duration: int) -> JobHead:
    job = JobHead(
        id=record.sequence,
        job_id=event.job_id,
        cluster=event.cluster,
        start_time=event.start_time,
        job_state=state.value,
        duration=duration,
        monitoring_status=event.monitoring_status,
        row=_row(record.sequence, event, state, duration),
    )
    world.know(job)
    for tag in event.tags:
        world.jobtags.add((job.id, world.tag_id(tag, record.sequence)))
    return job


def _metadata(event: JobFacts) -> dict[str, str] | None:
    if not event.oddities:
        return event.meta_data
    return (event.meta_data or {}) | {oddities.START_KEY: oddities.as_text(event.oddities)}


def _row(sequence: int, event: JobFacts, state: JobState, duration: int) -> dict[str, Any]:
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
        "meta_data": _json(_metadata(event)),
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
        "job_name": storable(event.meta_data.get(JOB_NAME_KEY)) if event.meta_data else None,
        "hosts": storable(f" {' '.join([resource.hostname for resource in event.resources])} "),
        "changed_seq": sequence,
    }


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
def storable(text: str | None) -> str | None:
    """As JSON text has them, NULs would do no harm; PostgreSQL has no way to store one as it is."""
    return text if text is None or "\0" not in text else text.replace("\0", "\ufffd")


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
