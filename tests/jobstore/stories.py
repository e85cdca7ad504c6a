"""What a scheduler really did, the events that tell of it, and the rows that they must end in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from shared.domain.events import Event, JobStarted, JobStopped
from shared.domain.values import JobState
from tests.support.builders import START_TIME, job_started, job_stopped

FINAL_STATES = [JobState.COMPLETED, JobState.FAILED, JobState.TIMEOUT, JobState.CANCELLED]

Row = tuple[int, str, int, str, int]  # scheduler id, cluster, start, state, duration


@dataclass(frozen=True)
class Run:
    """One run of a job; the flags say what its stop mentions."""

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
def jobs(draw: st.DrawFn, *, most_runs: int) -> list[list[Run]]:
    """Some jobs, each with its runs: one after the other under the same id, the next at least a second after the last."""
    stories = []
    for job_id in range(1, draw(st.integers(1, 3)) + 1):
        cluster = draw(st.sampled_from(["fritz", "alex"]))
        at = START_TIME + draw(st.integers(0, 50))
        runs = []
        for _ in range(draw(st.integers(1, most_runs))):
            duration = draw(st.one_of(st.integers(0, 5), st.sampled_from([3600, 86_399, 86_400, 200_000])))
            run = Run(job_id, cluster, at, duration, draw(st.sampled_from(FINAL_STATES)), draw(st.booleans()), draw(st.booleans()))
            runs.append(run)
            at += duration + draw(st.one_of(st.integers(1, 5), st.sampled_from([86_399, 86_400])))
        stories.append(runs)
    return stories


Precedes = Callable[[Event, Event], bool]


def anything(_: Event, __: Event) -> bool:
    return False


def order_of(runs: Sequence[Run]) -> Precedes:
    """What must hold between events so that nothing is ambiguous: a run's start does not overtake the run before it, and a stop
    that names no start does not overtake the stop of the run before. Starts and stops of one run may come in any order."""
    place = {_key(event): index for index, run in enumerate(runs) for event in (run.start, run.stop)}

    def precedes(first: Event, second: Event) -> bool:
        earlier, later = place.get(_key(first)), place.get(_key(second))
        if earlier is None or later is None or earlier >= later:
            return False
        return isinstance(second, JobStarted) or (isinstance(second, JobStopped) and second.start_time is None)

    return precedes


def _key(event: Event) -> tuple[str, int, int]:
    assert isinstance(event, JobStarted | JobStopped)
    return event.name, event.job_id, event.start_time if isinstance(event, JobStarted) else event.stop_time


@st.composite
def tellings(draw: st.DrawFn, stories: Sequence[Sequence[Run]], *, ordered: bool) -> list[Event]:
    """The events in any order that is allowed, each at least once, some again later."""
    events: list[Event] = [event for runs in stories for run in runs for event in (run.start, run.stop)]
    rules = [order_of(runs) if ordered else anything for runs in stories]
    told: list[Event] = []
    left = draw(st.permutations(events))
    while left:
        free = [event for event in left if not any(rule(other, event) for rule in rules for other in left)]
        event = free[0]
        left.remove(event)
        told.append(event)
        if draw(st.integers(0, 3)) == 0:
            told.append(draw(st.sampled_from(told)))
    return told


def rows_of(stories: Sequence[Sequence[Run]]) -> list[Row]:
    return sorted(run.row for runs in stories for run in runs)
