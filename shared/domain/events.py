"""The domain events: the truth that everything else is computed from.

An event's body is complete and validated when it is published, so that a replay depends on nothing but the log.
A changed event gets a new version and an upcaster in ``UPCASTERS``; old logs stay readable for ever.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain import reasons
from shared.domain.oddities import Oddity
from shared.domain.payloads import MetricStatistics, Resource
from shared.domain.values import GLOBAL_SCOPE, JobState, SharedNode
from shared.errors import Refused

TYPE_PREFIX = "jobtide."


class Part(BaseModel):
    """An object inside an event."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Tag(Part):
    """``scope`` is ``global``, ``admin``, or the user whose private tag it is."""

    type: str
    name: str
    scope: str = GLOBAL_SCOPE

    @property
    def key(self) -> tuple[str, str, str]:
        return self.type, self.name, self.scope


class Event(Part):
    """Base of all events. ``name`` is the part of the CloudEvents type between ``jobtide.`` and the version."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @property
    def subject_cluster(self) -> str | None:
        """The cluster that becomes the last token of the subject, None when the event has none."""
        cluster = getattr(self, "cluster", None)
        return cluster if isinstance(cluster, str) else None


class JobFacts(Event):
    """What the scheduler says of a job at its start; shared by a start and an imported job."""

    job_id: int
    cluster: str
    sub_cluster: str
    user: str
    start_time: int
    resources: list[Resource]
    num_nodes: int
    partition: str = ""
    project: str = ""
    shared: SharedNode = "none"
    array_job_id: int = 0
    walltime: int = 0
    requested_memory: int = 0
    submit_time: int = 0
    smt: int = 0
    num_acc: int = 0
    num_hwthreads: int = 0
    monitoring_status: int = 1
    meta_data: dict[str, str] | None = None
    footprint: dict[str, float] | None = None
    energy: float = 0.0
    energy_footprint: dict[str, float] | None = None
    statistics: dict[str, MetricStatistics] | None = None
    tags: list[Tag] = []
    oddities: list[Oddity] = []


class JobStarted(JobFacts):
    """A job runs. ``subCluster`` is assigned already."""

    name: ClassVar[str] = "job.started"


class JobStopped(Event):
    """A job ended. ``mayWait``: when the start is not known yet, wait for it instead of refusing."""

    name: ClassVar[str] = "job.stopped"

    job_id: int
    cluster: str | None = None
    start_time: int | None = None
    stop_time: int
    job_state: JobState
    received_state: str | None = Field(None, description="The state word received, where it differs from jobState.")
    may_wait: bool = True
    oddities: list[Oddity] = []


class JobImported(JobFacts):
    """A finished job of an existing archive."""

    name: ClassVar[str] = "job.imported"

    job_state: JobState
    duration: int


class JobTagged(Event):
    """``id`` is the database id of the job; tags that do not exist are created."""

    name: ClassVar[str] = "job.tagged"

    id: int
    cluster: str
    tags: list[Tag]


class JobUntagged(Event):
    name: ClassVar[str] = "job.untagged"

    id: int
    cluster: str
    tags: list[Tag]


class TagCreated(Event):
    name: ClassVar[str] = "tag.created"

    tag: Tag


class TagRemoved(Event):
    """The tag disappears from all jobs and from the list of tags."""

    name: ClassVar[str] = "tag.removed"

    tag: Tag


class JobMetadataEdited(Event):
    """One key of the job's metadata is set or overwritten."""

    name: ClassVar[str] = "job.metadata_edited"

    id: int
    cluster: str
    key: str
    value: str


class JobDeleted(Event):
    """The job disappears from the database; the archive keeps it."""

    name: ClassVar[str] = "job.deleted"

    id: int
    cluster: str


class JobArchiveRequested(Event):
    """Archive a stopped job (again)."""

    name: ClassVar[str] = "job.archive_requested"

    id: int
    cluster: str


class JobArchived(Event):
    """The archive entry of the job is complete. Energy in kWh."""

    name: ClassVar[str] = "job.archived"

    id: int
    cluster: str
    footprint: dict[str, float]
    energy: float
    energy_footprint: dict[str, float]


class JobMeasurement(Part):
    """Of one job, from its start until now. Energy in kWh."""

    id: int
    footprint: dict[str, float] = {}
    energy: float = 0.0
    energy_footprint: dict[str, float] = {}


class JobsMeasured(Event):
    """What the metric store says of running jobs. A job that has ended meanwhile keeps what it has."""

    name: ClassVar[str] = "job.measured"

    cluster: str
    jobs: list[JobMeasurement]


class JobArchivingFailed(Event):
    name: ClassVar[str] = "job.archiving_failed"

    id: int
    cluster: str
    reason: str
    attempts: int


class NodeReport(Part):
    """One node: the one chosen state, and every known word of the scheduler. Memory in MB."""

    hostname: str
    sub_cluster: str
    state: str
    states: list[str]
    cpus_allocated: int = 0
    memory_allocated: int = 0
    gpus_allocated: int = 0
    jobs_running: int = 0


class NodesReported(Event):
    name: ClassVar[str] = "node.reported"

    cluster: str
    nodes: list[NodeReport]
    oddities: list[Oddity] = []


class NodeHealth(Part):
    """One node. Of the metrics that it should have, ``missing`` were never seen and ``degraded`` are stale."""

    hostname: str
    health: Literal["full", "partial", "failed"]
    missing: list[str] = []
    degraded: list[str] = []


class NodesChecked(Event):
    """Whether nodes deliver their metrics, as the metric store says."""

    name: ClassVar[str] = "node.checked"

    cluster: str
    nodes: list[NodeHealth]


class IntakeRejected(Event):
    """Input that can never become an event. ``excerpt`` is its first 512 bytes as text.

    ``subject`` is the subject of the intake message or, over HTTP, method and path; only the former has a stream, sequence and line.
    """

    name: ClassVar[str] = "intake.rejected"

    code: str
    field: str | None = None
    text: str
    subject: str
    stream: str = Field("", description="Name and creation time of the intake stream, as in the message id.")
    sequence: int | None = None
    line: int | None = None
    excerpt: Annotated[str, Field(max_length=2048)]


class HousekeepingDue(Event):
    """Time passed. Carries the limits in force, so that what it causes is a function of the log; all in seconds."""

    name: ClassVar[str] = "housekeeping.due"

    parked_stop_ttl_s: int
    rejection_retention_s: int
    walltime_grace_s: int | None = None


class LogContinued(Event):
    """Fills a sequence that was lost with an older log; changes nothing."""

    name: ClassVar[str] = "housekeeping.log_continued"


EVENT_TYPES: dict[str, type[Event]] = {
    event.name: event
    for event in (
        JobStarted,
        JobStopped,
        JobImported,
        JobTagged,
        JobUntagged,
        TagCreated,
        TagRemoved,
        JobMetadataEdited,
        JobDeleted,
        JobArchiveRequested,
        JobArchived,
        JobArchivingFailed,
        JobsMeasured,
        NodesReported,
        NodesChecked,
        IntakeRejected,
        HousekeepingDue,
        LogContinued,
    )
}

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
# (name, version) -> the body as the next version writes it
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


def type_of(event: Event) -> str:
    return f"{TYPE_PREFIX}{event.name}.v{event.version}"


def decode(event_type: str, body: bytes) -> Event:
    """The event of a CloudEvents type and JSON body; raises Refused when this version cannot read it."""
    name, _, version_text = event_type.removeprefix(TYPE_PREFIX).rpartition(".v")
    model = EVENT_TYPES.get(name)
    if model is None or not (version_text.isascii() and version_text.isdigit()) or not 1 <= int(version_text) <= model.version:
        raise Refused(reasons.UNREADABLE_EVENT, f"unknown event type {event_type[:100]!r}")
    try:
        if int(version_text) == model.version:
            return model.model_validate_json(body)
        value = orjson.loads(body)
        for version in range(int(version_text), model.version):
            value = UPCASTERS[name, version](value)
        return model.model_validate(value)
    except (ValidationError, orjson.JSONDecodeError, KeyError) as e:
        raise Refused(reasons.UNREADABLE_EVENT, f"{event_type}: {str(e)[:300]}") from e


def encode(event: Event) -> bytes:
    return event.model_dump_json(by_alias=True, exclude_defaults=True).encode()
