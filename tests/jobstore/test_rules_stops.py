"""Stops: which run is meant, what waits, what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from services.jobstore.rules.fold import expired_stop
from services.jobstore.rules.jobs import MOST_WAITING, RECEIVED_STATE_KEY, expire
from shared.domain import reasons
from shared.domain.events import Event, JobStarted, JobStopped
from shared.domain.values import JobState
from tests.jobstore.logs import DAY, RECEIVED, Memory
from tests.support.builders import START_TIME, job_started, job_stopped

T = START_TIME
RUNNING, COMPLETED, FAILED = "running", "completed", "failed"


def start(at: int = 0, cluster: str = "fritz", **fields: object) -> JobStarted:
    return job_started(5, cluster, start_time=T + at, **fields)


def stop(
    at: int = 60, state: JobState = JobState.COMPLETED, of: int | None = None, cluster: str | None = "fritz", *, waits: bool = True
) -> JobStopped:
    """``of`` is the start that the stop names."""
    start_time = None if of is None else T + of
    return job_stopped(5, cluster, stop_time=T + at, job_state=state, start_time=start_time, may_wait=waits)


@dataclass(frozen=True)
class Case:
    """``jobs`` are start, state and duration; ``kinds`` what became of each event."""

    says: str
    events: Sequence[Event]
    kinds: str
    jobs: Sequence[tuple[int, str, int]]
    codes: Sequence[str] = ()
    waiting: int = 0
    extra: dict[str, object] = field(default_factory=dict)


A, D, R, W = "applied", "duplicate", "refused", "waiting"

CASES = [
    Case("a stop ends its run", [start(), stop(60)], "AA", [(0, COMPLETED, 60)]),
    Case("in the second of the start", [start(), stop(0)], "AA", [(0, COMPLETED, 0)]),
    Case("named by its start time", [start(), stop(60, of=0)], "AA", [(0, COMPLETED, 60)]),
    Case("without a cluster", [start(), stop(60, cluster=None)], "AA", [(0, COMPLETED, 60)]),
    *[
        Case(f"every final state is stored: {state}", [start(), stop(60, state)], "AA", [(0, state.value, 60)])
        for state in JobState
        if state not in (JobState.RUNNING, JobState.SUSPENDED, JobState.PENDING)
    ],
    # which run
    Case(
        "without a start time the running one with the latest start is meant",
        [start(0), start(DAY), stop(DAY + 60)],
        "AAA",
        [(0, RUNNING, 0), (DAY, COMPLETED, 60)],
    ),
    Case(
        "not one that started after the stop",
        [start(0), start(DAY), stop(DAY - 1)],
        "AAA",
        [(0, COMPLETED, DAY - 1), (DAY, RUNNING, 0)],
    ),
    Case(
        "not one that has stopped already, though it started later",
        [start(0), start(DAY), stop(DAY + 60), stop(DAY + 90)],
        "AAAA",
        [(0, COMPLETED, DAY + 90), (DAY, COMPLETED, 60)],
    ),
    Case(
        "the order of the starts in the log does not matter",
        [start(DAY), start(0), stop(DAY + 60)],
        "AAA",
        [(0, RUNNING, 0), (DAY, COMPLETED, 60)],
    ),
    Case(
        "the start time picks one of two running ones",
        [start(0), start(DAY), stop(DAY + 60, of=0)],
        "AAA",
        [(0, COMPLETED, DAY + 60), (DAY, RUNNING, 0)],
    ),
    Case(
        "the cluster picks one of two running ones",
        [start(0), start(0, "alex"), stop(60, cluster="alex")],
        "AAA",
        [(0, COMPLETED, 60), (0, RUNNING, 0)],
    ),
    Case("another cluster's stop waits for its own start", [start(), stop(60, cluster="alex")], "AW", [(0, RUNNING, 0)], waiting=1),
    Case("an empty cluster is a name that no job has", [start(), stop(60, cluster="")], "AW", [(0, RUNNING, 0)], waiting=1),
    Case("another start time waits for its own start", [start(), stop(60, of=7)], "AW", [(0, RUNNING, 0)], waiting=1),
    # requeues
    Case(
        "a requeued job's runs end one after the other",
        [start(0), stop(60, JobState.PREEMPTED), start(90), stop(150)],
        "AAAA",
        [(0, "preempted", 60), (90, COMPLETED, 60)],
    ),
    Case(
        "a late copy of the first stop leaves the second run alone",
        [start(0), stop(60), start(90), stop(60)],
        "AAAD",
        [(0, COMPLETED, 60), (90, RUNNING, 0)],
    ),
    Case(
        "a late copy of the second stop leaves an older run alone that is still open",
        [start(0), start(DAY), stop(DAY + 60), stop(DAY + 60)],
        "AAAD",
        [(0, RUNNING, 0), (DAY, COMPLETED, 60)],
    ),
    Case(
        "the same stop without a cluster ends the runs of two clusters one by one",
        [start(0), start(0, "alex"), stop(60, cluster=None), stop(60, cluster=None)],
        "AAAA",
        [(0, COMPLETED, 60), (0, COMPLETED, 60)],
    ),
    # before the start
    Case("a stop before its start waits", [stop(60)], "W", [], waiting=1),
    Case("and ends it as soon as it comes", [stop(60), start()], "WA", [(0, COMPLETED, 60)]),
    Case("named by its start time", [stop(60, of=0), start()], "WA", [(0, COMPLETED, 60)]),
    Case("without a cluster", [stop(60, cluster=None), start()], "WA", [(0, COMPLETED, 60)]),
    Case("not a start after it", [stop(60), start(61)], "WA", [(61, RUNNING, 0)], waiting=1),
    Case("not a start that it does not name", [stop(60, of=1), start(0)], "WA", [(0, RUNNING, 0)], waiting=1),
    Case("not a start of another cluster", [stop(60), start(0, "alex")], "WA", [(0, RUNNING, 0)], waiting=1),
    Case("a copy of a waiting stop waits no second time", [stop(60), stop(60), start()], "WDA", [(0, COMPLETED, 60)]),
    Case("a copy after the start came is recognised", [stop(60), start(), stop(60)], "WAD", [(0, COMPLETED, 60)]),
    Case(
        "two runs overtaken by both stops, in order",
        [stop(60), stop(150), start(0), start(90)],
        "WWAA",
        [(0, COMPLETED, 60), (90, COMPLETED, 60)],
    ),
    Case(
        "two runs overtaken by both stops, the later stop first",
        [stop(150), stop(60), start(0), start(90)],
        "WWAA",
        [(0, COMPLETED, 60), (90, COMPLETED, 60)],
    ),
    Case(
        "two runs that name their starts, in any order",
        [stop(150, of=90), start(0), stop(60, of=0), start(90)],
        "WAAA",
        [(0, COMPLETED, 60), (90, COMPLETED, 60)],
    ),
    Case(
        "the stop of a second run that overtakes its start waits beside the ended first one",
        [start(0), stop(60), stop(150), start(90)],
        "AAWA",
        [(0, COMPLETED, 60), (90, COMPLETED, 60)],
    ),
    Case("over REST a stop does not wait", [stop(60, waits=False)], "R", [], [reasons.JOB_NOT_FOUND]),
    Case("nor one that names a start", [start(0), stop(60, of=7, waits=False)], "AR", [(0, RUNNING, 0)], [reasons.JOB_NOT_FOUND]),
    # again
    Case("the same stop again is recognised", [start(), stop(60), stop(60)], "AAD", [(0, COMPLETED, 60)]),
    Case("with and without the start time", [start(), stop(60, of=0), stop(60)], "AAD", [(0, COMPLETED, 60)]),
    Case("also over REST", [start(), stop(60), stop(60, waits=False)], "AAD", [(0, COMPLETED, 60)]),
    Case(
        "another stop of an ended run that names it is refused",
        [start(), stop(60), stop(70, of=0)],
        "AAR",
        [(0, COMPLETED, 60)],
        [reasons.ALREADY_STOPPED],
    ),
    Case(
        "another state of an ended run that names it is refused",
        [start(), stop(60), stop(60, JobState.FAILED, of=0)],
        "AAR",
        [(0, COMPLETED, 60)],
        [reasons.ALREADY_STOPPED],
    ),
    Case(
        "over REST another stop of an ended run is refused",
        [start(), stop(60), stop(70, waits=False)],
        "AAR",
        [(0, COMPLETED, 60)],
        [reasons.ALREADY_STOPPED],
    ),
    Case(
        "one that names no start may mean a run still to come",
        [start(), stop(60), stop(70)],
        "AAW",
        [(0, COMPLETED, 60)],
        waiting=1,
    ),
    # before the start time
    Case("a stop before the start time is refused", [start(), stop(-1)], "AR", [(0, RUNNING, 0)], [reasons.STOP_BEFORE_START]),
    Case("also when it names the start", [start(), stop(-1, of=0)], "AR", [(0, RUNNING, 0)], [reasons.STOP_BEFORE_START]),
    Case("also over REST", [start(), stop(-1, waits=False)], "AR", [(0, RUNNING, 0)], [reasons.STOP_BEFORE_START]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_stops(case: Case) -> None:
    memory = Memory()
    decisions = memory.apply(*case.events)
    assert "".join(decision.kind[0].upper() for decision in decisions) == case.kinds
    assert [(began - T, state, duration) for began, state, duration in memory.states()] == sorted(case.jobs)
    assert memory.codes() == list(case.codes)
    assert sum(len(parked) for parked in memory.world.parked.values()) == case.waiting
    for event, decision in zip(case.events, decisions, strict=True):
        if isinstance(event, JobStopped) and decision.kind == "applied":
            assert decision.job is not None
            assert memory.job(decision.job).stop_time == event.stop_time


def test_the_sequence_of_the_stop_is_kept_also_of_one_that_waited() -> None:
    memory = Memory()
    memory.apply(start(0, "alex"), stop(60), start(0), stop(60, cluster="alex"))
    rows = [memory.job(id_).row for id_ in (1, 3)]
    assert [row and row["stop_seq"] for row in rows] == [4, 2]


def test_a_requeue_ends_as_preempted_and_keeps_the_word_received() -> None:
    memory = Memory()
    memory.apply(start(), job_stopped(5, stop_time=T + 60, job_state=JobState.PREEMPTED, received_state="pending"))
    assert memory.states() == [(T, "preempted", 60)]
    assert memory.job(1).metadata_changes == {RECEIVED_STATE_KEY: "pending"}


def test_the_word_received_survives_waiting() -> None:
    memory = Memory()
    memory.apply(job_stopped(5, stop_time=T + 60, job_state=JobState.PREEMPTED, received_state="pending"), start())
    assert memory.job(2).metadata_changes == {RECEIVED_STATE_KEY: "pending"}


@pytest.mark.parametrize(("at_start", "after_stop"), [(0, 0), (1, 1), (2, 1), (3, 1)])
def test_a_stopped_job_waits_for_its_archive_entry_unless_monitoring_is_off(at_start: int, after_stop: int) -> None:
    memory = Memory()
    memory.apply(start(monitoring_status=at_start), stop(60))
    assert memory.job(1).monitoring_status == after_stop


def test_only_so_many_stops_of_one_id_wait_at_once() -> None:
    memory = Memory()
    kinds = [d.kind for d in memory.apply(*[stop(n) for n in range(MOST_WAITING + 2)], stop(0))]
    assert kinds == ["waiting"] * MOST_WAITING + ["refused", "refused", "duplicate"]
    assert memory.codes() == [reasons.JOB_NOT_FOUND] * 2
    assert [d.kind for d in memory.apply(job_stopped(6), start(0), stop(500))] == ["waiting", "applied", "waiting"]


@dataclass(frozen=True)
class Expiry:
    says: str
    events: Sequence[Event]
    code: str


EXPIRIES = [
    Expiry("its start never came", [stop(60)], reasons.START_NEVER_CAME),
    Expiry("only other clusters have the id", [start(0, "alex"), stop(60)], reasons.START_NEVER_CAME),
    Expiry("the run had ended otherwise", [start(), stop(60), stop(70)], reasons.ALREADY_STOPPED),
    Expiry("only a later run came", [stop(60), start(61)], reasons.STOP_BEFORE_START),
]


@pytest.mark.parametrize("case", EXPIRIES, ids=lambda case: case.says)
def test_a_stop_that_waited_in_vain_is_refused_with_its_reason(case: Expiry) -> None:
    memory = Memory()
    memory.apply(*case.events)
    (parked,) = memory.world.parked[5]
    refused = expired_stop(parked, expire(parked, memory.world.runs_of(5, None)), RECEIVED + 600)
    assert refused.code == case.code
    assert (refused.sequence, refused.origin, refused.job_id, refused.cluster) == (parked.sequence, parked.origin, 5, "fritz")
    assert refused.time == RECEIVED + 600
    assert "5" in refused.text


# the walltime rule


def overdue() -> Memory:
    """One job that was presumed dead at its walltime."""
    memory = Memory()
    memory.apply(start(walltime=100))
    memory.job(1).set(job_state="failed", duration=100, monitoring_status=2, is_overdue=1)
    return memory


def test_a_real_stop_ends_a_job_that_was_presumed_dead() -> None:
    memory = overdue()
    (decision,) = memory.apply(stop(130))
    assert (decision.kind, memory.states()) == ("applied", [(T, "completed", 130)])
    assert (memory.job(1).monitoring_status, memory.job(1).is_overdue) == (1, 0)


def test_only_the_first_real_stop_counts() -> None:
    memory = overdue()
    assert [d.kind for d in memory.apply(stop(130), stop(130), stop(140, of=0))] == ["applied", "duplicate", "refused"]
    assert memory.states() == [(T, "completed", 130)]


def test_a_stop_at_the_presumed_time_with_the_presumed_state_is_a_real_one() -> None:
    memory = overdue()
    (decision,) = memory.apply(stop(100, JobState.FAILED))
    assert decision.kind == "applied"
    assert (memory.job(1).is_overdue, memory.job(1).monitoring_status) == (0, 1)


def test_a_requeue_after_the_presumed_end_is_a_new_run_and_its_stop_ends_that() -> None:
    memory = overdue()
    assert [d.kind for d in memory.apply(start(120), stop(200))] == ["applied", "applied"]
    assert memory.states() == [(T, "failed", 100), (T + 120, "completed", 80)]
