"""The jobs, parked stops and tags that a batch touches, and what the batch changes about them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from shared.domain.events import JobStopped, Tag
from shared.domain.values import JobState

TAGS_PER_EVENT = 1024  # a tag's id is its event's sequence times this, plus its place in the event


@dataclass(slots=True)
class JobHead:
    """What the rules need of one job. ``row`` holds the columns of a new job, ``changes`` those of a stored one."""

    id: int
    job_id: int
    cluster: str
    start_time: int
    job_state: str
    duration: int = 0
    monitoring_status: int = 1
    is_overdue: bool = False
    row: dict[str, Any] | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    metadata_changes: dict[str, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Runs, or was only presumed dead by the walltime rule: a stop may still end it."""
        return self.job_state == JobState.RUNNING or self.is_overdue

    @property
    def stop_time(self) -> int:
        return self.start_time + self.duration

    def set(self, **columns: Any) -> None:
        for name, value in columns.items():
            if hasattr(self, name):
                setattr(self, name, value)
        if self.row is not None:
            self.row.update(columns)
        else:
            self.changes.update(columns)


@dataclass(frozen=True, slots=True)
class ParkedStop:
    """A stop that waits for its start. ``parked_at`` is when the log stored it, Unix seconds."""

    sequence: int
    stop: JobStopped
    origin: str
    parked_at: float

    def fits(self, job: JobHead) -> bool:
        stop = self.stop
        return stop.cluster in (None, job.cluster) and stop.start_time in (None, job.start_time) and stop.stop_time >= job.start_time


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one event; ``job`` is a database id."""

    kind: Literal["applied", "duplicate", "refused", "waiting"]
    job: int | None = None
    code: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of ``rejection``."""

    sequence: int
    origin: str
    time: float
    code: str
    text: str
    excerpt: str
    field: str | None = None
    subject: str | None = None
    intake_sequence: int | None = None
    line: int | None = None
    job_id: int | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings that the rules depend on: the same log and the same limits give the same rows."""

    same_id_window_s: int = 86_400


class World:
    """Loaded by the store, changed by the rules, written by the store."""

    def __init__(self) -> None:
        self.jobs: dict[int, JobHead] = {}
        self._by_job_id: dict[int, list[JobHead]] = {}
        self.parked: dict[int, list[ParkedStop]] = {}
        self.newly_parked: dict[int, ParkedStop] = {}
        self.unparked: set[int] = set()
        self.tags: dict[tuple[str, str, str], int] = {}
        self.new_tags: dict[int, Tag] = {}
        self._created_of: tuple[int, int] = (0, 0)  # the last sequence that created tags, and how many
        self.removed_tags: dict[int, int] = {}  # stored ones, to the sequence of their removal
        self.jobtags: set[tuple[int, int]] = set()
        self.stored_jobtags: set[tuple[int, int]] = set()
        self.deleted_jobs: dict[int, int] = {}  # stored ones, to the sequence of their deletion
        self.deletions: list[dict[str, Any]] = []  # rows of ``job_deletion`` for jobs that were never stored
        self.refusals: list[Refusal] = []

    # jobs

    def know(self, job: JobHead) -> None:
        self.jobs[job.id] = job
        self._by_job_id.setdefault(job.job_id, []).append(job)

    def runs_of(self, job_id: int, cluster: str | None) -> list[JobHead]:
        """All runs with this scheduler id, of one cluster or of any."""
        runs = self._by_job_id.get(job_id, [])
        return runs if cluster is None else [run for run in runs if run.cluster == cluster]

    def forget(self, job: JobHead, sequence: int) -> None:
        del self.jobs[job.id]
        self._by_job_id[job.job_id].remove(job)
        self.jobtags = {pair for pair in self.jobtags if pair[0] != job.id}
        if job.row is None:
            self.deleted_jobs[job.id] = sequence
        else:
            row = job.row
            viewed = {"cluster": row["cluster"], "hpc_user": row["hpc_user"], "project": row["project"]}
            self.deletions.append({"seq": sequence, "job": job.id, **viewed})

    # stops that wait

    def park(self, stop: ParkedStop) -> None:
        self.parked.setdefault(stop.stop.job_id, []).append(stop)
        self.newly_parked[stop.sequence] = stop

    def unpark(self, stop: ParkedStop) -> None:
        self.parked[stop.stop.job_id].remove(stop)
        if self.newly_parked.pop(stop.sequence, None) is None:
            self.unparked.add(stop.sequence)

    # tags

    def know_tag(self, tag_id: int, tag: Tag) -> None:
        self.tags[tag.key] = tag_id

    def tag_id(self, tag: Tag, sequence: int) -> int:
        """The id of the tag, which is created when it does not exist."""
        known = self.tags.get(tag.key)
        if known is not None:
            return known
        count = self._created_of[1] if self._created_of[0] == sequence else 0
        while (created := sequence * TAGS_PER_EVENT + count) in self.tags.values():
            count += 1  # taken over from the tables in use
        self._created_of = (sequence, count + 1)
        self.tags[tag.key] = created
        self.new_tags[created] = tag
        return created

    def remove_tag(self, tag: Tag, sequence: int) -> bool:
        tag_id = self.tags.pop(tag.key, None)
        if tag_id is None:
            return False
        tagged = {pair for pair in self.jobtags if pair[1] == tag_id}
        for job_id, _ in tagged:
            if job_id in self.jobs:
                self.jobs[job_id].set(changed_seq=sequence)
        self.jobtags -= tagged
        if self.new_tags.pop(tag_id, None) is None:
            self.removed_tags[tag_id] = sequence
        return True
