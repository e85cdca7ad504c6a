"""Which running jobs of a cluster are measured in a round. Pure.

The store reads all samples of a job for each measurement. So a job is measured again only when its age has grown by ``GROWTH``: all
measurements of a job together then read about 20 times its samples, where rounds at a fixed interval would read a multiple that grows
with its age.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

GROWTH = 1 / 20
MAX_PAUSE_ROUNDS = 16  # longest pause after the store did not return the samples of a job


@dataclass(frozen=True, slots=True)
class RunningJob:
    id: int
    start_time: int


@dataclass(slots=True)
class _Done:
    """``step`` is that of the age at the last measurement. ``advice_due`` is the time of the next attempt at advice that failed."""

    step: int
    failures: int = 0
    advice_due: float | None = None


class Schedule:
    """Steps of age are the same in all replicas, so that they measure a job in the same rounds. Until a job has been measured it is due,
    so after a start all jobs are.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._done: dict[int, _Done] = {}

    def forget(self) -> None:
        """Make all jobs due."""
        self._done.clear()

    def due(self, running: Iterable[RunningJob], at: int) -> list[RunningJob]:
        """Those to be measured in the round that covers the time until ``at``. Forgets jobs that are not running."""
        jobs = list(running)
        self._done = {job.id: done for job in jobs if (done := self._done.get(job.id)) is not None}
        return [job for job in jobs if self._is_due(job, at)]

    def _is_due(self, job: RunningJob, at: int) -> bool:
        done = self._done.get(job.id)
        return done is None or done.step != _step(at - job.start_time) or (done.advice_due is not None and self.may_advise(job.id, at))

    def may_advise(self, job_id: int, at: int) -> bool:
        """False while a job pauses whose samples the store did not return."""
        done = self._done.get(job_id)
        return done is None or done.advice_due is None or at >= done.advice_due

    def measured(self, job: RunningJob, at: int) -> None:
        done = self._done.setdefault(job.id, _Done(0))
        done.step = _step(at - job.start_time)

    def advised(self, job_id: int) -> None:
        """After ``measured``, like the next two."""
        self._done[job_id].failures, self._done[job_id].advice_due = 0, None

    def advice_failed(self, job_id: int, at: int) -> None:
        """Each failure in a row doubles the pause."""
        done = self._done[job_id]
        done.advice_due = at + self._interval_s * min(2**done.failures, MAX_PAUSE_ROUNDS)
        done.failures = min(done.failures + 1, MAX_PAUSE_ROUNDS)

    def advice_left_out(self, job_id: int, at: int) -> None:
        """It was not tried in this round: it is due in the next one, or after its pause."""
        done = self._done[job_id]
        done.advice_due = max(done.advice_due or 0, at + self._interval_s)


def _step(age_s: int) -> int:
    return int(math.log(max(age_s, 1)) / math.log1p(GROWTH))
