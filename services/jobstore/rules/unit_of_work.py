"""The unit of work of a batch: the jobs, parked stops and tags that it touches, and their changes."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import orjson

from shared.domain.events import JobStopped, Tag
from shared.domain.recorded import IntakeOrigin, Recorded
from shared.domain.values import JobState

TAGS_PER_EVENT = 1024  # a tag's id is its event's sequence times this, plus its place in the event


@dataclass(slots=True)
class JobHead:
    """The columns of a job that the rules need. A new job has all columns in ``row``, a stored one the changed columns in ``changes``.

    ``metadata`` is only loaded for a run whose end may still change, or that ended at its start; ``advice`` only for events about it,
    ``former_id`` and ``former_state`` only for jobs that are taken over.
    """

    id: int
    job_id: int
    cluster: str
    start_time: int
    job_state: str
    duration: int = 0
    monitoring_status: int = 1
    is_overdue: bool = False
    stop_seq: int | None = None
    unsettled_until: float | None = None
    metadata: str | None = None
    advice: str | None = None
    former_id: int | None = None
    former_state: str | None = None
    row: dict[str, Any] | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    metadata_changes: dict[str, str | None] = field(default_factory=dict)  # None removes a key

    @property
    def is_running(self) -> bool:
        return self.job_state == JobState.RUNNING

    @property
    def is_open(self) -> bool:
        """Running, or presumed to have ended: its own stop may still end it."""
        return self.is_running or self.is_overdue

    def may_still_change(self, now: float) -> bool:
        """Whether the run was ended by a stop that did not name it and may still be reassigned to a later run."""
        return not self.is_open and self.unsettled_until is not None and now <= self.unsettled_until

    def metadata_of(self, key: str) -> str | None:
        if key in self.metadata_changes:
            return self.metadata_changes[key]
        stored = self.metadata if self.row is None else self.row["meta_data"]
        value: str | None = orjson.loads(stored).get(key) if stored else None
        return value

    @property
    def stop_time(self) -> int:
        return self.start_time + self.duration

    def set(self, **columns: Any) -> None:
        for name, value in columns.items():
            if name in _OF_HEAD:
                setattr(self, name, value)
        self._written.update(columns)

    def touch(self, sequence: int) -> None:
        """The event with this sequence changed the job."""
        self._written["changed_seq"] = sequence

    @property
    def _written(self) -> dict[str, Any]:
        return self.changes if self.row is None else self.row


_OF_HEAD = frozenset(one.name for one in fields(JobHead))


@dataclass(frozen=True, slots=True)
class ParkedStop:
    """A stop that waits for its start. ``parked_at`` is when the log stored it, Unix seconds.

    ``was_applied``: the stop had ended a run before, so the archiver has already handled it.
    """

    sequence: int
    stop: JobStopped
    origin: str
    parked_at: float
    was_applied: bool = False

    @staticmethod
    def taken_from(run: JobHead, stop: JobStopped, now: float) -> "ParkedStop":
        """Park the stop that had ended ``run`` again."""
        assert run.stop_seq is not None
        return ParkedStop(run.stop_seq, stop, f"stop {run.stop_seq}", now, was_applied=True)


@dataclass(frozen=True, slots=True)
class DeletedRun:
    """A run whose job was deleted. ``deleted_at`` is when the log stored the deletion, Unix seconds."""

    job_id: int
    cluster: str
    start_time: int
    stop_time: int
    job_state: str
    deleted_at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one event. ``job`` is a database id; ``oddities`` are the codes of oddities found by the rules."""

    kind: Literal["applied", "duplicate", "refused", "waiting"]
    job: int | None = None
    code: str | None = None
    text: str | None = None
    oddities: tuple[str, ...] = ()


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
    """Settings of the rules: the same log with the same limits gives the same rows."""

    superseded_after_s: int = 600
    stop_tolerance_s: int = 300


class UnitOfWork:
    """Loaded by ``JobStore``, changed by the rules, saved by ``JobStore``."""

    def __init__(self) -> None:
        self.jobs: dict[int, JobHead] = {}
        self._by_job_id: dict[int, list[JobHead]] = {}
        self.parked: dict[int, list[ParkedStop]] = {}
        self.newly_parked: dict[int, ParkedStop] = {}
        self.unparked: set[int] = set()
        self.tags: dict[tuple[str, str, str], int] = {}
        self.new_tags: dict[int, Tag] = {}
        self._created_of: tuple[int, int] = (0, 0)  # the last sequence that created tags, and their number
        self.removed_tags: dict[int, int] = {}  # ids of stored tags, with the sequence of their removal
        self.jobtags: set[tuple[int, int]] = set()
        self.stored_jobtags: set[tuple[int, int]] = set()
        self.deleted_jobs: dict[int, dict[str, Any]] = {}  # stored jobs by id: rows of ``job_deletion`` without user and project
        self.deleted_runs: dict[int, list[DeletedRun]] = {}  # by scheduler id
        self.deletions: list[dict[str, Any]] = []  # rows of ``job_deletion`` for jobs that were never stored
        self.refusals: list[Refusal] = []
        self.handled_again: dict[str, float] = {}  # origins of obsolete refusals, with the time of their events

    def handle_again(self, origin: str, time: float) -> None:
        """Discard the earlier refusal of the event, whose outcome is decided again."""
        self.refusals = [refusal for refusal in self.refusals if refusal.origin != origin]
        self.handled_again[origin] = time

    # jobs

    def know(self, job: JobHead) -> None:
        self.jobs[job.id] = job
        self._by_job_id.setdefault(job.job_id, []).append(job)

    def runs_of(self, job_id: int, cluster: str | None) -> list[JobHead]:
        """All runs with this scheduler id, of one cluster or of any."""
        runs = self._by_job_id.get(job_id, [])
        return runs if cluster is None else [run for run in runs if run.cluster == cluster]

    def forget(self, job: JobHead, record: Recorded) -> None:
        del self.jobs[job.id]
        self._by_job_id[job.job_id].remove(job)
        self.jobtags = {pair for pair in self.jobtags if pair[0] != job.id}
        run = DeletedRun(job.job_id, job.cluster, job.start_time, job.stop_time, str(job.job_state), record.stored_at)
        self.know_deleted(run)
        deletion = {"seq": record.sequence, "job": job.id, **asdict(run)}
        if job.row is None:
            self.deleted_jobs[job.id] = deletion
        else:
            self.deletions.append(deletion | {"hpc_user": job.row["hpc_user"], "project": job.row["project"]})

    def know_deleted(self, run: DeletedRun) -> None:
        self.deleted_runs.setdefault(run.job_id, []).append(run)

    def deleted_before(self, record: Recorded, job_id: int, cluster: str | None) -> list[DeletedRun]:
        """Deleted runs that a redelivered adapter message may be about: the broker received it before their deletion.

        Empty for events of other publishers, which are never redelivered: their repeats are intended.
        """
        runs = self.deleted_runs.get(job_id)
        if not runs or IntakeOrigin.of(record.message_id) is None:
            return []
        return [run for run in runs if cluster in (None, run.cluster) and record.time <= run.deleted_at]

    # parked stops

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
        """The id of the tag, which is created if it does not exist."""
        known = self.tags.get(tag.key)
        if known is not None:
            return known
        count = self._created_of[1] if self._created_of[0] == sequence else 0
        while (created := sequence * TAGS_PER_EVENT + count) in self.tags.values():
            count += 1  # already used by a tag copied from the tables in use
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
