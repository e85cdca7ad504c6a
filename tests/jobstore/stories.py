"""Histories of a scheduler, their events, and the expected rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from shared.domain.events import Event, JobStarted, JobStopped
from shared.domain.values import JobState
from tests.support.builders import START_TIME, job_started, job_stopped

FINAL_STATES = [JobState.COMPLETED, JobState.FAILED, JobState.TIMEOUT, JobState.CANCELLED]

Row = tuple[int, str, int, str, int]  # scheduler id, cluster, start, state, duration


@dataclass(frozen=True)
class Run:
    """One run of a job. The flags select the fields of its stop."""

    job_id: int
    cluster: str
    start_time: int
    duration: int
    state: JobState
    stop_has_start: bool
    stop_has_cluster: bool

    @property
    def row(self) -> Row:
        return self.job_id, self.cluster, self.start_time, self.state.value, self.duration

    @property
    def start(self) -> JobStarted:
        return job_started(self.job_id, self.cluster, start_time=self.start_time)

    @property
    def stop(self) -> JobStopped:
        return job_stopped(
            self.job_id,
            self.cluster if self.stop_has_cluster else None,
            stop_time=self.start_time + self.duration,
            start_time=self.start_time if self.stop_has_start else None,
            job_state=self.state,
        )


@st.composite
def jobs(draw: st.DrawFn, *, max_runs: int) -> list[list[Run]]:
    """Some jobs with their runs, which follow each other under the same id; the next one starts in the second of the last end or later."""
    stories = []
    for job_id in range(1, draw(st.integers(1, 3)) + 1):
        cluster = draw(st.sampled_from(["fritz", "alex"]))
        at = START_TIME + draw(st.integers(0, 50))
        runs = []
        gap_s = None
        for _ in range(draw(st.integers(1, max_runs))):
            if gap_s is not None:
                at += gap_s
            # Two runs that end in one second cannot be distinguished by stops without a start.
            duration = draw(st.one_of(st.integers(int(gap_s == 0), 5), st.sampled_from([3600, 86_399, 86_400, 200_000])))
            run = Run(job_id, cluster, at, duration, draw(st.sampled_from(FINAL_STATES)), draw(st.booleans()), draw(st.booleans()))
            runs.append(run)
            at += duration
            gap_s = draw(st.one_of(st.integers(int(duration == 0), 5), st.sampled_from([86_399, 86_400])))
        stories.append(runs)
    return stories


@st.composite
def arrivals(draw: st.DrawFn, stories: Sequence[Sequence[Run]]) -> list[Event]:
    """The events in any order, each at least once, some of them repeated later."""
    events: list[Event] = [event for runs in stories for run in runs for event in (run.start, run.stop)]
    arrived: list[Event] = []
    for event in draw(st.permutations(events)):
        arrived.append(event)
        if draw(st.integers(0, 3)) == 0:
            arrived.append(draw(st.sampled_from(arrived)))
    return arrived


def rows_of(stories: Sequence[Sequence[Run]]) -> list[Row]:
    return sorted(run.row for runs in stories for run in runs)
