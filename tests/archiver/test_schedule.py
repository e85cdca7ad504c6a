"""Which running jobs are measured in a round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archiver.schedule import GROWTH, MAX_PAUSE_ROUNDS, RunningJob, Schedule

INTERVAL_S = 600
JOB = RunningJob(7, 1_000_000)
ROUND = 1_000_000 + 300 * INTERVAL_S  # an old job


def is_due(schedule: Schedule, at: int) -> bool:
    return schedule.due([JOB], at) == [JOB]


@given(st.integers(1, 100 * INTERVAL_S), st.integers(1, 200))
def test_a_measurement_is_never_older_than_a_twentieth_of_the_age_and_one_interval(first: int, rounds: int) -> None:
    schedule, last = Schedule(INTERVAL_S), None
    for at in range(JOB.start_time + first, JOB.start_time + first + rounds * INTERVAL_S, INTERVAL_S):
        if is_due(schedule, at):
            schedule.measured(JOB, at)
            schedule.advised(JOB.id)
            last = at
        assert last is not None
        assert at - last <= max(GROWTH * (last - JOB.start_time), INTERVAL_S - 1)


def test_all_measurements_of_a_job_read_a_bounded_multiple_of_its_samples() -> None:
    schedule, read = Schedule(INTERVAL_S), 0
    end = JOB.start_time + 10_000 * INTERVAL_S
    for at in range(JOB.start_time + INTERVAL_S, end, INTERVAL_S):
        if is_due(schedule, at):
            schedule.measured(JOB, at)
            read += at - JOB.start_time
    assert read < 25 * (end - JOB.start_time)


def test_replicas_that_started_at_different_times_measure_a_job_in_the_same_rounds() -> None:
    one, other = Schedule(INTERVAL_S), Schedule(INTERVAL_S)
    one.measured(JOB, ROUND - 7 * INTERVAL_S)
    other.measured(JOB, ROUND)
    rounds = [ROUND + n * INTERVAL_S for n in range(1, 200)]

    def measuring(schedule: Schedule) -> list[int]:
        found = []
        for at in rounds:
            if is_due(schedule, at):
                schedule.measured(JOB, at)
                found.append(at)
        return found

    due = measuring(one)
    assert measuring(other) in (due, due[1:])


def test_a_job_is_due_until_it_has_been_measured_and_forgotten_when_it_ends() -> None:
    schedule = Schedule(INTERVAL_S)
    assert is_due(schedule, ROUND)
    assert is_due(schedule, ROUND)
    schedule.measured(JOB, ROUND)
    assert not is_due(schedule, ROUND)
    assert schedule.due([], ROUND) == []
    assert is_due(schedule, ROUND)


@pytest.mark.parametrize("failures", [1, 2, 3, 20])
def test_each_failure_of_the_advice_doubles_the_pause(failures: int) -> None:
    schedule, at = Schedule(INTERVAL_S), ROUND
    schedule.measured(JOB, at)
    for _ in range(failures):
        schedule.advice_failed(JOB.id, at)
    pause_s = INTERVAL_S * min(2 ** (failures - 1), MAX_PAUSE_ROUNDS)
    schedule.measured(JOB, at + pause_s)
    assert not schedule.may_advise(JOB.id, at + pause_s - 1)
    assert schedule.may_advise(JOB.id, at + pause_s)
    schedule.advice_left_out(JOB.id, at)
    assert schedule.may_advise(JOB.id, at + pause_s)
    schedule.advised(JOB.id)
    assert schedule.may_advise(JOB.id, at)
    assert not is_due(schedule, at + pause_s)
