"""Rules for stops: matched, parked and refused ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from services.jobstore.rules.ends import MAX_WAITING, RECEIVED_STATE_KEY
from shared.domain import oddities, reasons
from shared.domain.events import Event, JobDeleted, JobImported, JobStarted, JobStopped
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
    """``of`` is the start time in the stop."""
    start_time = None if of is None else T + of
    return job_stopped(5, cluster, stop_time=T + at, job_state=state, start_time=start_time, may_wait=waits)


@dataclass(frozen=True)
class Case:
    """``jobs`` are start, state and duration; ``kinds`` the outcome of each event."""

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
        "not an earlier one when a later one lies between",
        [start(0), start(DAY), stop(DAY + 60), stop(DAY + 90)],
        "AAAW",
        [(0, RUNNING, 0), (DAY, COMPLETED, 60)],
        waiting=1,
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
    Case("not a start long after it", [stop(60), start(361)], "WA", [(361, RUNNING, 0)], waiting=1),
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
        [start(), stop(60, of=0), stop(70, of=0)],
        "AAR",
        [(0, COMPLETED, 60)],
        [reasons.ALREADY_STOPPED],
    ),
    Case(
        "another state of an ended run that names it is refused",
        [start(), stop(60, of=0), stop(60, JobState.FAILED, of=0)],
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
    Case("a stop just before the start ends it", [start(), stop(-1)], "AA", [(0, COMPLETED, 0)], waiting=1),
    Case("up to the tolerance", [start(), stop(-300)], "AA", [(0, COMPLETED, 0)], waiting=1),
    Case("also when it comes first", [stop(-1), start()], "WA", [(0, COMPLETED, 0)], waiting=1),
    Case("also when it names the start", [start(), stop(-1, of=0)], "AA", [(0, COMPLETED, 0)]),
    Case("also when it comes first and names the start", [stop(-1, of=0), start()], "WA", [(0, COMPLETED, 0)]),
    Case("also over REST", [start(), stop(-1, waits=False)], "AA", [(0, COMPLETED, 0)]),
    Case("a copy of it is recognised", [start(), stop(-1), stop(-1)], "AAD", [(0, COMPLETED, 0)], waiting=1),
    Case("beyond the tolerance it waits for an earlier start", [start(), stop(-301)], "AW", [(0, RUNNING, 0)], waiting=1),
    Case("beyond it, one that names the start ends it", [start(), stop(-3000, of=0)], "AA", [(0, COMPLETED, 0)]),
    Case("beyond it, one over REST ends it", [start(), stop(-3000, waits=False)], "AA", [(0, COMPLETED, 0)]),
    Case("the run's own stop still counts", [start(), stop(-1), stop(9, JobState.FAILED)], "AAA", [(0, FAILED, 9)], waiting=1),
    Case(
        "the run that it belongs to may still come",
        [start(), stop(-1), start(-60)],
        "AAA",
        [(-60, COMPLETED, 59), (0, RUNNING, 0)],
    ),
    Case(
        "an ended earlier run has a better claim",
        [start(-60), stop(-30), start(0), stop(-1)],
        "AAAW",
        [(-60, COMPLETED, 30), (0, RUNNING, 0)],
        waiting=1,
    ),
    # starts of one id
    Case(
        "two starts, then both stops",
        [start(0), start(600), stop(300, JobState.PREEMPTED), stop(1200)],
        "AAAA",
        [(0, "preempted", 300), (600, COMPLETED, 600)],
    ),
    Case(
        "two starts, then the stops in the other order",
        [start(0), start(600), stop(1200), stop(300, JobState.PREEMPTED)],
        "AAAA",
        [(0, "preempted", 300), (600, COMPLETED, 600)],
    ),
    Case(
        "a stop that overtook its start passes from the run before",
        [start(0), stop(1200), start(600), stop(300, JobState.PREEMPTED)],
        "AAAA",
        [(0, "preempted", 300), (600, COMPLETED, 600)],
    ),
    Case(
        "also when the stop of the run before waited meanwhile",
        [start(0), stop(1200), stop(300, JobState.PREEMPTED), start(600)],
        "AAAA",
        [(0, "preempted", 300), (600, COMPLETED, 600)],
    ),
    Case(
        "a stop that names the run replaces one that does not",
        [start(0), stop(1200), stop(300, JobState.PREEMPTED, of=0), start(600)],
        "AAAA",
        [(0, "preempted", 300), (600, COMPLETED, 600)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_stops(case: Case) -> None:
    memory = Memory()
    decisions = memory.apply(*case.events)
    assert "".join(decision.kind[0].upper() for decision in decisions) == case.kinds
    assert [(began - T, state, duration) for began, state, duration in memory.states()] == sorted(case.jobs)
    assert memory.codes() == list(case.codes)
    assert sum(len(parked) for parked in memory.work.parked.values()) == case.waiting


def test_the_sequence_of_the_stop_is_stored_even_if_it_was_parked() -> None:
    memory = Memory()
    memory.apply(start(0, "alex"), stop(60), start(0), stop(60, cluster="alex"))
    assert [memory.job(id_).stop_seq for id_ in (1, 3)] == [4, 2]


def test_a_requeued_run_ends_as_preempted_with_the_received_word() -> None:
    memory = Memory()
    memory.apply(start(), job_stopped(5, stop_time=T + 60, job_state=JobState.PREEMPTED, received_state="pending"))
    assert memory.states() == [(T, "preempted", 60)]
    assert memory.job(1).metadata_changes == {RECEIVED_STATE_KEY: "pending"}


def test_the_received_word_of_a_parked_stop_is_stored() -> None:
    memory = Memory()
    memory.apply(job_stopped(5, stop_time=T + 60, job_state=JobState.PREEMPTED, received_state="pending"), start())
    assert memory.job(2).metadata_changes == {RECEIVED_STATE_KEY: "pending"}


@pytest.mark.parametrize(("at_start", "after_stop"), [(0, 0), (1, 1), (2, 1), (3, 1)])
def test_a_stopped_job_waits_for_its_archive_entry_unless_monitoring_is_off(at_start: int, after_stop: int) -> None:
    memory = Memory()
    memory.apply(start(monitoring_status=at_start), stop(60))
    assert memory.job(1).monitoring_status == after_stop


def test_the_number_of_parked_stops_per_id_is_limited() -> None:
    memory = Memory()
    kinds = [d.kind for d in memory.apply(*[stop(n) for n in range(MAX_WAITING + 2)], stop(0))]
    assert kinds == ["waiting"] * MAX_WAITING + ["refused", "refused", "duplicate"]
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
    Expiry("only an ended later run came", [stop(60), start(961), stop(990)], reasons.STOP_BEFORE_START),
]


@pytest.mark.parametrize("case", EXPIRIES, ids=lambda case: case.says)
def test_a_stop_whose_start_never_arrived_is_refused_with_the_reason(case: Expiry) -> None:
    memory = Memory()
    memory.apply(*case.events)
    (parked,) = memory.work.parked[5]
    memory.pass_time(RECEIVED + 600)
    (refused,) = memory.work.refusals
    assert refused.code == case.code
    assert (refused.sequence, refused.origin, refused.job_id, refused.cluster) == (parked.sequence, parked.origin, 5, "fritz")
    assert refused.time == RECEIVED + 600
    assert "5" in refused.text


@pytest.mark.parametrize("before_s", [1, 300, 301, 10 * DAY])
def test_a_stop_before_its_start_leaves_no_job_running(before_s: int) -> None:
    memory = Memory()
    memory.apply(start(), stop(-before_s, JobState.FAILED))
    memory.pass_time()
    assert (memory.states(), memory.codes()) == ([(T, "failed", 0)], [])
    assert "is before the start" in (memory.job(1).metadata_of(oddities.STOP_KEY) or "")


@pytest.mark.parametrize(
    ("events", "copy"),
    [
        ([start(), stop(60)], stop(60)),
        ([start(), stop(60, of=0)], stop(60)),
        ([start(), stop(60)], stop(60, cluster=None)),
        ([start(), stop(-1)], stop(-1)),
        ([start(), stop(-1, of=0)], stop(-1, of=0)),
        ([start(), stop(-1, waits=False)], stop(-1, waits=False)),
        ([start(), stop(-3000)], stop(-3000)),
        ([start(), stop(-3000, waits=False)], stop(-3000, waits=False)),
        ([start(0), stop(1200), start(600), stop(300)], stop(1200)),
        ([start(0), start(600), stop(1200)], stop(1200)),
        ([stop(60), start()], stop(60)),
    ],
)
def test_a_repeated_stop_is_recognised_however_late_it_arrives(events: Sequence[Event], copy: JobStopped) -> None:
    memory = Memory()
    memory.apply(*events)
    memory.pass_time()
    before = memory.states()
    assert [decision.kind for decision in memory.apply(copy)] == ["duplicate"]
    memory.pass_time(RECEIVED + 2 * DAY)
    assert (memory.states(), memory.codes()) == (before, [])


def test_a_parked_stop_whose_run_was_imported_meanwhile_is_not_rejected() -> None:
    memory = Memory()
    run = JobImported(**dict(start()), job_state=JobState.COMPLETED, duration=60)
    assert [decision.kind for decision in memory.apply(stop(60), run)] == ["waiting", "applied"]
    memory.pass_time()
    assert (memory.states(), memory.codes()) == ([(T, COMPLETED, 60)], [])


def test_the_rules_report_the_oddities_that_they_find() -> None:
    memory = Memory()
    assert memory.apply(start(), stop(-1))[1].oddities == (oddities.STOP_BEFORE_START,)


# superseded runs


def test_a_run_whose_stop_never_arrives_is_superseded_by_a_later_one() -> None:
    memory = Memory()
    memory.apply(start(0), start(600), stop(1200))
    assert memory.states() == [(T, "running", 0), (T + 600, "completed", 600)]
    memory.pass_time(RECEIVED + 600)
    assert memory.states()[0] == (T, "running", 0)
    memory.pass_time(RECEIVED + 601)
    assert memory.states() == [(T, "preempted", 600), (T + 600, "completed", 600)]
    assert "its stop never came" in (memory.job(1).metadata_of(oddities.STOP_KEY) or "")
    assert memory.codes() == []


def test_the_late_stop_of_a_superseded_run_applies() -> None:
    memory = Memory()
    memory.apply(start(0), start(600))
    memory.pass_time()
    assert [d.kind for d in memory.apply(stop(300, JobState.FAILED), stop(1200))] == ["applied", "applied"]
    assert memory.states() == [(T, "failed", 300), (T + 600, "completed", 600)]
    assert memory.job(1).metadata_of(oddities.STOP_KEY) is None


def test_a_run_is_not_superseded_by_one_that_was_deleted() -> None:
    memory = Memory()
    memory.apply(start(0), start(600), JobDeleted(id=2, cluster="fritz"))
    memory.pass_time()
    assert memory.states() == [(T, "running", 0)]


@pytest.mark.parametrize(
    ("events", "due"),
    [
        ([start(0), stop(1200), start(600)], {3}),
        ([start(0), stop(60)], set()),
        ([stop(60), start(0)], set()),
        ([start(0), stop(-1), start(-60)], {3}),
        ([start(0), stop(1200), stop(300, of=0), start(600)], {4}),
    ],
)
def test_a_reassigned_stop_requests_archiving_again(events: Sequence[Event], due: set[int]) -> None:
    memory = Memory()
    memory.apply(*events)
    rows = {id_: job.row for id_, job in memory.work.jobs.items()}
    assert {id_ for id_, row in rows.items() if row and row["archive_due"] is not None} == due


# the walltime rule


def overdue() -> Memory:
    """One job that was marked failed at its walltime."""
    memory = Memory()
    memory.apply(start(walltime=100))
    memory.job(1).set(job_state="failed", duration=100, monitoring_status=2, is_overdue=1)
    return memory


def test_a_real_stop_ends_a_job_that_was_marked_failed() -> None:
    memory = overdue()
    (decision,) = memory.apply(stop(130))
    assert (decision.kind, memory.states()) == ("applied", [(T, "completed", 130)])
    assert (memory.job(1).monitoring_status, memory.job(1).is_overdue) == (1, 0)


def test_only_the_first_real_stop_applies() -> None:
    memory = overdue()
    assert [d.kind for d in memory.apply(stop(130, of=0), stop(130), stop(140, of=0))] == ["applied", "duplicate", "refused"]
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
