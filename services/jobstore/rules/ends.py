"""Matches stops to the runs of a job id.

A requeued job has several runs under one id, and their events may arrive in any order within a limited time. Each event
therefore triggers a new match of all stops that can still be reassigned to all runs that are still open: the result depends on
which events have arrived, not on their order. ``docs/events.md`` describes the matching.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.jobstore.rules.unit_of_work import Decision, DeletedRun, JobHead, Limits, ParkedStop, UnitOfWork
from shared.domain import oddities, reasons
from shared.domain.events import JobStopped
from shared.domain.oddities import Oddity
from shared.domain.recorded import Recorded
from shared.domain.values import MONITORING_DISABLED, MONITORING_OPEN, JobState

RECEIVED_STATE_KEY = "receivedState"
MAX_WAITING = 100  # parked stops per id, because each later event with this id examines all of them


def stop(work: UnitOfWork, record: Recorded, event: JobStopped, limits: Limits) -> Decision:
    """End the run that the stop belongs to, or park the stop until its start arrives."""
    runs = _runs_meant(work, event)
    waiting = work.parked.get(event.job_id, [])
    if (known := _run_of_copy(runs, event)) is not None:
        return Decision("duplicate", known.id)
    if any(_is_copy(parked, event) for parked in waiting):
        return Decision("duplicate")
    if any(_ended(run, event) for run in work.deleted_before(record, event.job_id, event.cluster)):
        return Decision("duplicate")
    is_named = event.start_time is not None
    if is_named and runs and not any(_is_free(run, record.stored_at) for run in runs):
        return _why_not(event, runs)
    if len(waiting) >= MAX_WAITING:
        why = _why_not(event, runs)
        return Decision("refused", why.job, why.code, f"{why.text}, and {MAX_WAITING} stops are already waiting for it")
    refusal = None if event.may_wait else _why_not(event, runs)  # before the runs change
    parked = ParkedStop(record.sequence, event, record.origin, record.stored_at)
    work.park(parked)
    ends = Ends(work, record, limits)
    ends.settle(event.job_id)
    ended = next((run for run in runs if run.stop_seq == record.sequence), None)
    if ended is None and not event.may_wait and (early := _first_after(runs, event)) is not None:
        ends.end(early, parked, is_presumed=early.start_time - event.stop_time > limits.stop_tolerance_s)
        ended = early
    if not event.may_wait:
        for left in [parked for parked in work.parked.get(event.job_id, []) if parked.sequence == record.sequence]:
            work.unpark(left)
    if ended is not None:
        return Decision("applied", ended.id, oddities=ends.oddities)
    return refusal or Decision("waiting", oddities=ends.oddities)


def expire(work: UnitOfWork, parked: ParkedStop, record: Recorded, limits: Limits) -> Decision:
    """Handle a stop that has waited too long: it ends the run that began after it, if there is one, otherwise it is refused.

    It may also be a repeated stop that could not be recognised when it arrived, or the stop of a run whose job was deleted meanwhile.
    """
    stop = parked.stop
    runs = work.runs_of(stop.job_id, stop.cluster)
    for run in runs:
        if run.stop_seq == parked.sequence:
            return Decision("applied", run.id)
    if (known := _run_of_copy(_runs_meant(work, stop), stop)) is not None:
        return Decision("duplicate", known.id)
    if stop.start_time is None and (early := _first_after(runs, stop)) is not None:
        ends = Ends(work, record, limits)
        ends.end(early, parked, is_presumed=True)
        return Decision("applied", early.id, oddities=ends.oddities)
    why = _why_not(stop, runs)
    if why.code == reasons.JOB_NOT_FOUND and any(_may_have_ended(run, stop) for run in work.deleted_runs.get(stop.job_id, [])):
        return Decision("duplicate")
    if why.code == reasons.JOB_NOT_FOUND:
        return Decision("refused", None, reasons.START_NEVER_CAME, f"{why.text}: its start never came")
    return why


def supersede(work: UnitOfWork, run: JobHead, record: Recorded) -> Decision:
    """Close a run whose stop never arrived at the start of the later run of the same id."""
    following = _next_start(run, work.runs_of(run.job_id, run.cluster))
    if following is None:
        run.set(unsettled_until=None)  # the later run was deleted
        return Decision("duplicate", run.id)
    oddity = Oddity(code=oddities.SUPERSEDED, text=f"its stop never came, and another run of this id started at {following}")
    run.set(
        job_state=JobState.PREEMPTED.value,
        duration=following - run.start_time,
        stop_seq=record.sequence,
        is_overdue=1,
        unsettled_until=None,
        archive_due=record.stored_at,
        monitoring_status=_to_be_archived(run),
        changed_seq=record.sequence,
    )
    _note(run, oddities.STOP_KEY, oddities.as_text([oddity]))
    return Decision("applied", run.id, oddities=(oddity.code,))


class Ends:
    """Changes the ends of runs while one event is applied. ``oddities`` collects the codes of the oddities found."""

    def __init__(self, work: UnitOfWork, record: Recorded, limits: Limits) -> None:
        self._work = work
        self._now = record.stored_at
        self._sequence = record.sequence
        self._limits = limits
        self.oddities: tuple[str, ...] = ()

    def settle(self, job_id: int) -> None:
        """Match the parked stops, and the stops whose match may still change, to the runs of this id."""
        runs = sorted(self._work.runs_of(job_id, None), key=_by_start)
        waiting = list(self._work.parked.get(job_id, ()))
        if not waiting and len(runs) == 1 and runs[0].is_open:
            return  # a job that starts
        free = [run for run in runs if _is_free(run, self._now)]
        held = {run.id: self._stop_of(run) for run in free if run.may_still_change(self._now)}
        stops = [*waiting, *held.values()]
        matched = _match(runs, {run.id for run in free}, stops) if stops else {}
        taken = {parked.sequence for parked in matched.values()}
        for parked in held.values():
            if parked.sequence not in taken:
                self._work.park(parked)
        for parked in waiting:
            if parked.sequence in taken:
                self._work.unpark(parked)
        for run in free:
            new = matched.get(run.id)
            if new is None and (run.id in held or run.stop_seq in taken):
                self._reopen(run)
            elif new is not None and new is not held.get(run.id):
                self.end(run, new)
                if new.was_applied:  # the archiver has already handled that stop
                    run.set(archive_due=self._now)
        self._take_early_stops(runs)
        for run in free:
            if run.is_running and run.unsettled_until is None and _next_start(run, runs) is not None:
                run.set(unsettled_until=self._now + self._limits.superseded_after_s)

    def end(self, run: JobHead, parked: ParkedStop, *, is_presumed: bool = False) -> None:
        """End ``run`` with ``parked``. ``is_presumed``: if the run's own stop arrives later, it applies instead."""
        stop = parked.stop
        found = list(stop.oddities)
        is_early = stop.stop_time < run.start_time
        if is_early:
            text = f"{_before(stop, run)}; the duration is 0"
            found.append(Oddity(code=oddities.STOP_BEFORE_START, field="stopTime", text=text))
            self.oddities += (oddities.STOP_BEFORE_START,)
        is_certain = stop.start_time is not None or is_presumed or is_early
        run.set(
            job_state=stop.job_state.value,
            duration=max(0, stop.stop_time - run.start_time),
            stop_seq=parked.sequence,
            is_overdue=int(is_presumed),
            unsettled_until=None if is_certain else self._now + self._limits.superseded_after_s,
            archive_due=None,
            monitoring_status=_to_be_archived(run),
            changed_seq=self._sequence,
        )
        _note(run, RECEIVED_STATE_KEY, stop.received_state)
        _note(run, oddities.STOP_KEY, oddities.as_text(found) if found else None)

    def _take_early_stops(self, runs: Sequence[JobHead]) -> None:
        """End the first run with a stop shortly before its start, since the clocks of two machines differ.

        The stop stays parked, because the start of an earlier run may still arrive.
        """
        for parked in list(self._work.parked.get(runs[0].job_id, [])) if runs else []:
            of_stop = [run for run in runs if parked.stop.cluster in (None, run.cluster)]
            early = _first_after(of_stop, parked.stop) if parked.stop.start_time is None else None
            is_free = all(run.stop_seq != parked.sequence for run in runs)
            if early is not None and is_free and early.start_time - parked.stop.stop_time <= self._limits.stop_tolerance_s:
                self.end(early, parked, is_presumed=True)
                self._work.unpark(parked)
                self._work.park(replace(parked, was_applied=True))

    def _stop_of(self, run: JobHead) -> ParkedStop:
        """The stop that ended ``run``, as a parked stop."""
        text = run.metadata_of(oddities.STOP_KEY)
        stop = JobStopped(
            job_id=run.job_id,
            cluster=run.cluster,
            stop_time=run.stop_time,
            job_state=JobState(run.job_state),
            received_state=run.metadata_of(RECEIVED_STATE_KEY),
            oddities=[] if text is None else [Oddity(code=oddities.STATE_WORD, text=text)],
        )
        return ParkedStop.taken_from(run, stop, self._now)

    def _reopen(self, run: JobHead) -> None:
        run.set(
            job_state=JobState.RUNNING.value,
            duration=0,
            stop_seq=None,
            is_overdue=0,
            unsettled_until=None,
            archive_due=None,
            monitoring_status=_to_be_archived(run),
            changed_seq=self._sequence,
        )
        forget_end(run)


def forget_end(run: JobHead) -> None:
    """Remove the received state and the oddities of the stop from the metadata."""
    _note(run, RECEIVED_STATE_KEY, None)
    _note(run, oddities.STOP_KEY, None)


def certain_run_around(runs: Iterable[JobHead], start_time: int, now: float) -> JobHead | None:
    """A run that began before ``start_time``, ended after it, and whose end can no longer change."""
    around = [run for run in runs if not _is_free(run, now) and run.start_time < start_time < run.stop_time]
    return max(around, key=_by_start, default=None)


def _match(runs: Sequence[JobHead], free: set[int], stops: Iterable[ParkedStop]) -> dict[int, ParkedStop]:
    """The stop of each free run, by the run's id. ``runs`` are in order.

    A stop that names a start belongs to that run. Any other stop belongs to the run during which it happened; only the first such
    stop before the next run counts. If it happened in the same second as the next start, it belongs to the earlier run only if the
    next run has another stop.
    """
    left = sorted(stops, key=lambda parked: (parked.stop.stop_time, parked.sequence))
    matched: dict[int, ParkedStop] = {}

    def take(run: JobHead, parked: ParkedStop) -> None:
        matched[run.id] = parked
        left.remove(parked)

    for run in runs:
        named = next((p for p in left if p.stop.start_time == run.start_time and p.stop.cluster in (None, run.cluster)), None)
        if run.id in free and named is not None:
            take(run, named)
    clusters = _clusters_of(left, [run for run in runs if run.id in free and run.id not in matched])
    for cluster in sorted({run.cluster for run in runs}):
        of_cluster = [run for run in runs if run.cluster == cluster]
        for run, following in zip(of_cluster, [*of_cluster[1:], None], strict=True):
            if run.id not in free or run.id in matched:
                continue
            during = [p for p in left if clusters[p.sequence] == cluster and _is_during(p.stop, run, following)]
            before = [p for p in during if following is None or p.stop.stop_time < following.start_time]
            if before:
                take(run, before[0])
            elif during and following is not None and _has_another_stop(following, of_cluster, free, matched, left, during[0]):
                take(run, during[0])
    return matched


def _is_during(stop: JobStopped, run: JobHead, following: JobHead | None) -> bool:
    return (
        stop.start_time is None
        and stop.cluster in (None, run.cluster)
        and run.start_time <= stop.stop_time
        and (following is None or stop.stop_time <= following.start_time)
    )


def _has_another_stop(
    run: JobHead,
    runs: Sequence[JobHead],
    free: set[int],
    matched: dict[int, ParkedStop],
    stops: Iterable[ParkedStop],
    this: ParkedStop,
) -> bool:
    if run.id not in free or run.id in matched:
        return True
    following = next((other for other in runs if other.start_time > run.start_time), None)
    return any(parked is not this and _is_during(parked.stop, run, following) for parked in stops)


def _clusters_of(stops: Iterable[ParkedStop], open_runs: Iterable[JobHead]) -> dict[int, str | None]:
    """The clusters of stops by sequence. A stop without one gets that of the latest open run not taken by an earlier stop."""
    clusters: dict[int, str | None] = {}
    left = list(open_runs)
    has_one_cluster = len({run.cluster for run in left}) <= 1
    for parked in stops:
        stop = parked.stop
        begun = [run for run in left if run.start_time <= stop.stop_time and stop.cluster in (None, run.cluster)]
        latest = max(begun, key=_by_start, default=None)
        clusters[parked.sequence] = latest.cluster if latest is not None else stop.cluster
        if latest is not None and not has_one_cluster:
            left.remove(latest)
    return clusters


def _is_free(run: JobHead, now: float) -> bool:
    return run.is_open or run.may_still_change(now)


def _by_start(run: JobHead) -> tuple[int, int]:
    return run.start_time, run.id


def _next_start(run: JobHead, runs: Iterable[JobHead]) -> int | None:
    return min((other.start_time for other in runs if other.cluster == run.cluster and other.start_time > run.start_time), default=None)


def _runs_meant(work: UnitOfWork, event: JobStopped) -> list[JobHead]:
    """All runs that the stop may belong to."""
    runs = work.runs_of(event.job_id, event.cluster)
    return runs if event.start_time is None else [run for run in runs if run.start_time == event.start_time]


def _first_after(runs: Iterable[JobHead], stop: JobStopped) -> JobHead | None:
    """The first run, if it is running and began after the stop, which happens if the clocks of two machines differ."""
    first = min(runs, key=_by_start, default=None)
    return first if first is not None and first.start_time > stop.stop_time and first.is_running else None


def _run_of_copy(runs: Sequence[JobHead], event: JobStopped) -> JobHead | None:
    """The run with exactly this end. A stop without a cluster may instead belong to an open run of another cluster."""
    for run in sorted(runs, key=_by_start, reverse=True):
        if run.job_state == event.job_state and _has_end_of(run, event):
            others = [other for other in runs if other.is_open and other.cluster != run.cluster and other.start_time <= event.stop_time]
            return None if others else run
    return None


def _ended(run: DeletedRun, event: JobStopped) -> bool:
    is_same_run = event.start_time in (None, run.start_time)
    return is_same_run and run.job_state == event.job_state and run.stop_time == max(event.stop_time, run.start_time)


def _may_have_ended(run: DeletedRun, stop: JobStopped) -> bool:
    """Whether ``run`` was still running when its job was deleted, and this may be its stop."""
    is_same_run = stop.start_time == run.start_time or (stop.start_time is None and run.start_time <= stop.stop_time)
    return is_same_run and stop.cluster in (None, run.cluster) and run.job_state == JobState.RUNNING


def _has_end_of(run: JobHead, event: JobStopped) -> bool:
    if event.stop_time >= run.start_time or event.start_time is not None:
        return not run.is_open and run.stop_time == max(event.stop_time, run.start_time)
    return not run.is_running and _before(event, run) in (run.metadata_of(oddities.STOP_KEY) or "")


def _before(stop: JobStopped, run: JobHead) -> str:
    """The text in the metadata of a run that such a stop ended. It identifies copies of the stop, since the duration is 0."""
    return f"{stop.stop_time} is before the start at {run.start_time}"


def _is_copy(parked: ParkedStop, event: JobStopped) -> bool:
    stop = parked.stop
    is_same = (stop.stop_time, stop.job_state, stop.start_time) == (event.stop_time, event.job_state, event.start_time)
    return is_same and (stop.cluster == event.cluster or (event.cluster is None and parked.was_applied))


def _why_not(event: JobStopped, runs: Sequence[JobHead]) -> Decision:
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


def _to_be_archived(run: JobHead) -> int:
    return run.monitoring_status if run.monitoring_status == MONITORING_DISABLED else MONITORING_OPEN


def _note(run: JobHead, key: str, value: str | None) -> None:
    """Store a text in the metadata, or remove it."""
    if value is not None or run.metadata_of(key) is not None:
        run.metadata_changes[key] = value
