"""Rules for starts and imports: new, known and refused runs."""

from dataclasses import dataclass

import pytest

from shared.domain import oddities, reasons
from shared.domain.events import JobImported, Tag
from shared.domain.oddities import Oddity
from shared.domain.payloads import MetricStatistics, Resource
from shared.domain.values import JobState
from tests.jobstore.logs import DAY, RECEIVED, Memory
from tests.support.builders import START_TIME, job_started, job_stopped

T = START_TIME


def imported(job_id: int = 1, start_time: int = T, duration: int = 60, state: JobState = JobState.COMPLETED) -> JobImported:
    facts = job_started(job_id, start_time=start_time)
    return JobImported(**dict(facts), job_state=state, duration=duration)


def test_a_start_becomes_a_running_job_whose_id_is_its_sequence() -> None:
    memory = Memory(sequence=41)
    (decision,) = memory.apply(job_started(7))
    assert (decision.kind, decision.job) == ("applied", 42)
    row = memory.job(42).row
    assert row is not None
    assert (row["id"], row["job_id"], row["job_state"], row["duration"], row["stop_seq"]) == (42, 7, "running", 0, None)


def test_every_field_of_a_start_is_stored() -> None:
    memory = Memory()
    memory.apply(
        job_started(
            7,
            submit_time=T - 9,
            requested_memory=4096,
            smt=2,
            num_acc=3,
            num_hwthreads=64,
            array_job_id=5,
            shared="multi_user",
            monitoring_status=0,
            energy=1.5,
            footprint={"b": 2.0, "a": 1.0},
            energy_footprint={"power": 0.5},
            meta_data={"jobName": "x", "custom": "y"},
            statistics={"load": MetricStatistics(avg=1.0)},
            resources=[Resource(hostname="f0101", hwthreads=[0, 1], accelerators=["00000000:17:00.0"], configuration="c")],
        )
    )
    row = memory.job(1).row
    assert row is not None
    kept = ("submit_time", "requested_memory", "smt", "num_acc", "num_hwthreads", "array_job_id", "shared", "monitoring_status", "energy")
    assert [row[name] for name in kept] == [T - 9, 4096, 2, 3, 64, 5, "multi_user", 0, 1.5]
    assert row["footprint"] == '{"a":1.0,"b":2.0}'
    assert row["energy_footprint"] == '{"power":0.5}'
    assert row["meta_data"] == '{"custom":"y","jobName":"x"}'
    assert row["statistics"] == '{"load":{"unit":{"base":"","prefix":""},"avg":1.0,"min":0.0,"max":0.0}}'
    assert row["resources"] == '[{"hostname":"f0101","hwthreads":[0,1],"accelerators":["00000000:17:00.0"],"configuration":"c"}]'


@dataclass(frozen=True)
class SecondStart:
    """A second start of the same id ``apart_s`` after the first one, which ended ``stopped_s`` after its start or is running."""

    says: str
    apart_s: int
    stopped_s: int | None
    kind: str
    job_state_of_stop: JobState = JobState.COMPLETED


SECOND_STARTS = [
    SecondStart("the same start again, while it runs", 0, None, "duplicate"),
    SecondStart("the same start again, after the stop", 0, 10, "duplicate"),
    SecondStart("one second later, while it runs", 1, None, "applied"),
    SecondStart("a day later, while it runs", 86_400, None, "applied"),
    SecondStart("one second earlier", -1, None, "applied"),
    SecondStart("a day earlier", -86_400, None, "applied"),
    SecondStart("after the run had stopped: a requeue", 100, 60, "applied"),
    SecondStart("in the second of the stop", 60, 60, "applied"),
    SecondStart("one second before the stop", 59, 60, "refused"),
    SecondStart("after the run was requeued by the scheduler", 100, 60, "applied", JobState.PREEMPTED),
    SecondStart("earlier, although the later run has stopped", -100, 60, "applied"),
    SecondStart("within a run of several days that has stopped later", 86_400, 3 * DAY, "refused"),
]


@pytest.mark.parametrize("case", SECOND_STARTS, ids=lambda case: case.says)
def test_a_start_with_a_new_time_is_a_run_unless_it_lies_within_another(case: SecondStart) -> None:
    memory = Memory()
    memory.apply(job_started(5))
    if case.stopped_s is not None:
        memory.apply(job_stopped(5, start_time=T, stop_time=T + case.stopped_s, job_state=case.job_state_of_stop))
    (decision,) = memory.apply(job_started(5, start_time=T + case.apart_s))
    assert decision.kind == case.kind
    assert memory.codes() == ([reasons.DUPLICATE_JOB] if case.kind == "refused" else [])
    assert len(memory.work.jobs) == (2 if case.kind == "applied" else 1)
    if case.kind != "applied":
        assert decision.job == 1


@pytest.mark.parametrize(("later_s", "kind"), [(600, "applied"), (601, "refused")])
def test_a_stop_without_start_time_is_reassigned_to_a_later_run_for_a_limited_time(later_s: int, kind: str) -> None:
    memory = Memory()
    memory.apply(job_started(5), job_stopped(5, stop_time=T + 1200))
    decision = memory.apply_one(job_started(5, start_time=T + 600), at=RECEIVED + later_s)
    assert decision.kind == kind
    passed = [(T, "running", 0), (T + 600, "completed", 600)]
    assert memory.states() == (passed if kind == "applied" else [(T, "completed", 1200)])


def test_the_state_word_and_oddities_move_with_a_reassigned_stop() -> None:
    memory = Memory()
    odd = Oddity(code=oddities.STATE_WORD, text="odd")
    memory.apply(job_started(5, meta_data={"jobName": "x"}))
    memory.apply(job_stopped(5, stop_time=T + 1200, received_state="CANCELLED", oddities=[odd]), job_started(5, start_time=T + 600))
    assert memory.job(1).metadata_changes == {"receivedState": None, "stopOddities": None}
    assert memory.job(3).metadata_changes == {"receivedState": "CANCELLED", "stopOddities": "odd"}
    assert memory.job(3).stop_seq == 2


def test_other_clusters_and_other_ids_are_other_jobs() -> None:
    memory = Memory()
    kinds = [d.kind for d in memory.apply(job_started(5, "fritz"), job_started(5, "alex"), job_started(6, "fritz"))]
    assert kinds == ["applied"] * 3


def test_a_known_start_is_recognised_among_other_runs_of_its_id() -> None:
    """The order in which runs are read must not matter, so a running one may come first."""
    first, second = job_started(5), job_started(5, start_time=T + 100)
    memory = Memory()
    memory.apply(first, job_stopped(5, stop_time=T + 60), second)
    runs = memory.work.runs_of(5, "fritz")
    reversed_world = Memory(sequence=3)
    for run in reversed(runs):
        reversed_world.work.know(run)
    for each in (memory, reversed_world):
        assert [d.kind for d in each.apply(first, second)] == ["duplicate", "duplicate"]
        assert each.codes() == []


def test_tags_of_a_start_are_created_and_attached() -> None:
    memory = Memory()
    old = Tag(type="area", name="cfd")
    new = Tag(type="area", name="md", scope="alice")
    memory.apply(job_started(1, tags=[old]), job_started(2, tags=[new, old]))
    assert set(memory.work.new_tags.values()) == {old, new}
    assert memory.work.jobtags == {(1, memory.work.tags[old.key]), (2, memory.work.tags[old.key]), (2, memory.work.tags[new.key])}


def test_tags_of_a_start_that_is_refused_or_known_are_not_created() -> None:
    memory = Memory()
    tag = Tag(type="area", name="cfd")
    memory.apply(job_started(1), job_started(1, tags=[tag]), job_stopped(1, start_time=T, stop_time=T + 9))
    memory.apply(job_started(1, start_time=T + 1, tags=[tag]))
    assert memory.codes() == [reasons.DUPLICATE_JOB]
    assert not memory.work.new_tags
    assert not memory.work.jobtags


def test_an_import_is_a_finished_job() -> None:
    memory = Memory()
    (decision,) = memory.apply(imported(duration=60, state=JobState.TIMEOUT))
    assert (decision.kind, memory.states()) == ("applied", [(T, "timeout", 60)])


def test_an_import_of_a_known_run_changes_nothing() -> None:
    memory = Memory()
    memory.apply(imported(1), job_started(2), job_stopped(2))
    before = memory.states()
    assert [d.kind for d in memory.apply(imported(1, duration=99), imported(2))] == ["duplicate", "duplicate"]
    assert memory.states() == before


def test_an_import_ends_a_run_that_is_still_running_here() -> None:
    memory = Memory()
    memory.apply(job_started(1))
    (decision,) = memory.apply(imported(1, duration=60, state=JobState.TIMEOUT))
    assert (decision.kind, decision.job, memory.states()) == ("applied", 1, [(T, "timeout", 60)])
    assert [d.kind for d in memory.apply(imported(1), job_stopped(1, start_time=T))] == ["duplicate", "refused"]


def test_an_import_replaces_every_field_of_an_open_run() -> None:
    """The row equals that of the import except for its id; values that only the stored run has remain."""
    old, new = Tag(type="area", name="cfd"), Tag(type="area", name="md")
    full = imported(1, duration=60, state=JobState.TIMEOUT).model_copy(
        update={
            "user": "carol",
            "walltime": 99,
            "num_acc": 4,
            "requested_memory": 4096,
            "submit_time": T - 5,
            "energy": 1.5,
            "footprint": {"a": 1.0},
            "meta_data": {"jobName": "late", "jobScript": "#!"},
            "statistics": {"load": MetricStatistics(avg=1.0)},
            "resources": [Resource(hostname="f0102")],
            "tags": [new],
            "oddities": [Oddity(code=oddities.VALUE_AS_TEXT, text="odd")],
        }
    )
    alone, memory = Memory(), Memory()
    alone.apply(full)
    memory.apply(job_started(1, meta_data={"jobName": "early", "slurmInfo": "x"}, tags=[old]))
    memory.apply(full)
    expected, found = alone.job(1).row, memory.job(1).row
    assert expected is not None
    assert found is not None
    differing = {"stop_seq": 2, "changed_seq": 2, "meta_data": found["meta_data"]}
    assert found == expected | differing
    assert [memory.job(1).metadata_of(key) for key in ("jobName", "jobScript", "slurmInfo", oddities.START_KEY)] == [
        "late",
        "#!",
        "x",
        "odd",
    ]
    assert memory.work.jobtags == {(1, memory.work.tags[tag.key]) for tag in (old, new)}


def test_an_import_removes_the_metadata_of_a_presumed_end() -> None:
    memory = Memory()
    memory.apply(job_started(1), job_started(1, start_time=T + 600))
    memory.pass_time()
    assert memory.job(1).metadata_of(oddities.STOP_KEY) is not None
    memory.apply(imported(1, duration=300))
    assert memory.states()[0] == (T, "completed", 300)
    assert memory.job(1).metadata_of(oddities.STOP_KEY) is None


def test_a_run_before_an_imported_one_waits_for_its_stop_for_a_limited_time() -> None:
    memory = Memory()
    memory.apply(job_started(1), imported(1, start_time=T + 600))
    memory.pass_time()
    assert memory.states() == [(T, "preempted", 600), (T + 600, "completed", 60)]


def test_imports_may_share_an_id_within_a_day() -> None:
    memory = Memory()
    kinds = [d.kind for d in memory.apply(imported(1), imported(1, start_time=T + 30), imported(1, start_time=T - 30))]
    assert kinds == ["applied"] * 3


def test_a_start_of_an_imported_run_is_known() -> None:
    memory = Memory()
    assert [d.kind for d in memory.apply(imported(1), job_started(1))] == ["applied", "duplicate"]
    assert memory.states() == [(T, "completed", 60)]
