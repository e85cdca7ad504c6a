"""Compares the scheduler's accounting with the site. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cli.reconciling.accounting import Run
from shared.domain.values import JobState

Kind = Literal["missing", "ended", "state", "running", "deleted"]
SAME_START_S = 60  # two runs of one id never start within a minute: a scheduler waits longer before it starts a requeued job


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job of the site. ``id`` is its database id; ``end`` None: it runs."""

    id: int
    cluster: str
    job_id: int
    start: int
    end: int | None
    state: JobState
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """``missing``: not known here. ``ended``: ended there, running here.

    ``state``: ended in another state. ``running``: runs there, ended here. ``deleted``: was deleted here, which is intended.
    """

    kind: Kind
    run: Run
    job: KnownJob | None = None

    @property
    def can_be_applied(self) -> bool:
        return self.kind in ("missing", "ended")

    @property
    def text(self) -> str:
        run = self.run
        there = "running" if run.end is None else run.state.value
        here = "not known" if self.job is None else self.job.state.value
        return f"{self.kind:<8} {run.cluster} {run.job_id} started {run.start}: {there} in the accounting, {here} here"


def differences(runs: Iterable[Run], jobs: Sequence[KnownJob]) -> list[Difference]:
    """In the order of the starts, so that runs of one id are published one after the other."""
    by_id: dict[tuple[str, int], list[KnownJob]] = {}
    for known in jobs:
        by_id.setdefault((known.cluster, known.job_id), []).append(known)
    found: list[Difference] = []
    for run in sorted(runs, key=lambda run: (run.start, run.cluster, run.job_id)):
        candidates = by_id.get((run.cluster, run.job_id), [])
        same = [job for job in candidates if abs(job.start - run.start) <= SAME_START_S]
        job = min(same, key=lambda job: (job.is_deleted, abs(job.start - run.start)), default=None)
        if job is None:
            found.append(Difference("missing", run))
            continue
        candidates.remove(job)
        if (kind := _kind(run, job)) is not None:
            found.append(Difference(kind, run, job))
    return found


def _kind(run: Run, job: KnownJob) -> Kind | None:
    if job.is_deleted:
        return "deleted"
    if run.end is None:
        return None if job.end is None else "running"
    if job.end is None:
        return "ended"
    return "state" if job.state != run.state else None
