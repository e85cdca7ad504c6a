"""The domain events, from which all other state is computed.

The body of an event is complete and validated when it is published, so that a replay needs nothing but the log.
A changed event gets a new version and an upcaster in ``UPCASTERS``, because old logs must remain readable.
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
ADVICE_TAG_TYPE = "jobClass"
APPLICATION_TAG_TYPE = "app"


# A list that is empty by default, but not copied for each event, as pydantic does with a default value.
_EMPTY: Any = Field(default_factory=list, json_schema_extra={"default": []})


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
        """The cluster in the last token of the subject; None if the subject has none."""
        cluster = getattr(self, "cluster", None)
        return cluster if isinstance(cluster, str) else None


class JobFacts(Event):
    """The fields that a start and an imported job have in common."""

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
    tags: list[Tag] = _EMPTY
    oddities: list[Oddity] = _EMPTY


class JobStarted(JobFacts):
    """A job has started. ``subCluster`` has been assigned."""

    name: ClassVar[str] = "job.started"


class JobStopped(Event):
    """A job has ended. ``mayWait``: if the start is not known yet, wait for it instead of refusing the stop."""

    name: ClassVar[str] = "job.stopped"

    job_id: int
    cluster: str | None = None
    start_time: int | None = None
    stop_time: int
    job_state: JobState
    received_state: str | None = Field(None, description="The state word received, if it differs from jobState.")
    may_wait: bool = True
    oddities: list[Oddity] = _EMPTY


class JobImported(JobFacts):
    """A finished job from an existing archive."""

    name: ClassVar[str] = "job.imported"

    job_state: JobState
    duration: int


class JobTakenOver(JobFacts):
    """A job in the database of a system that jobtide replaces, running or finished, as it was when it was read.

    A later event of the same run brings what has changed there. ``formerId`` is the job's id in that database.
    """

    name: ClassVar[str] = "job.taken_over"

    job_state: JobState
    duration: int = Field(0, description="Seconds; 0 while the job runs.")
    former_id: int | None = Field(None, description="Null: it has no permanent id there yet.")
    digest: str = Field("", description="Identifies the state there: the same digest brings nothing new.")


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
    """The tag is removed from all jobs and from the list of tags."""

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
    """The job is removed from the database; its archive entry remains."""

    name: ClassVar[str] = "job.deleted"

    id: int
    cluster: str


class JobArchiveRequested(Event):
    """Archive a stopped job (again)."""

    name: ClassVar[str] = "job.archive_requested"

    id: int
    cluster: str


class JobArchived(Event):
    """The archive entry of the job is complete. Energy in kWh.

    ``stop_seq`` is the sequence of the stop that the entry reflects, because the end of a job may change after it was read.
    """

    name: ClassVar[str] = "job.archived"

    id: int
    cluster: str
    footprint: dict[str, float]
    energy: float
    energy_footprint: dict[str, float]
    stop_seq: int | None = None


class JobAdvice(Part):
    """The finding of one rule. ``metric`` shows the problem, ``since`` is in Unix seconds, ``link`` is a page of the site about it."""

    rule: str
    severity: Literal["info", "warning", "critical"]
    text: str
    action: str = ""
    metric: str = ""
    since: int | None = None
    link: str = ""


class JobAdvised(Event):
    """The findings of all rules about a job, and the applications detected in its script.

    They replace earlier advice and the tags that it added. Application tags are added.
    """

    name: ClassVar[str] = "job.advised"

    id: int
    cluster: str
    advice: list[JobAdvice] | None = Field([], description="Null: the advice does not change.")
    applications: list[str] = []
    while_running: bool = Field(False, description="Evaluated while the job ran; ignored once it has ended.")
    stop_seq: int | None = Field(None, description="Sequence of the stop that was evaluated.")

    @property
    def tags(self) -> list[Tag]:
        """The tags to add to the job."""
        classes = [Tag(type=ADVICE_TAG_TYPE, name=one.rule) for one in self.advice or []]
        return classes + [Tag(type=APPLICATION_TAG_TYPE, name=name) for name in self.applications]


class JobApplications(Part):
    """The applications in the script of one job."""

    id: int
    applications: list[str]

    @property
    def tags(self) -> list[Tag]:
        return [Tag(type=APPLICATION_TAG_TYPE, name=name) for name in self.applications]


class ApplicationsDetected(Event):
    """Applications in the scripts of jobs that started, to be added as tags. A job that has ended meanwhile is not changed."""

    name: ClassVar[str] = "job.applications_detected"

    cluster: str
    jobs: list[JobApplications]

    @property
    def tags(self) -> list[Tag]:
        """The tags of all jobs, each once."""
        return [Tag(type=APPLICATION_TAG_TYPE, name=name) for name in sorted({name for job in self.jobs for name in job.applications})]


class JobAdviceMuted(Event):
    """A user hides the advice of one rule for this job, or shows it again."""

    name: ClassVar[str] = "job.advice_muted"

    id: int
    cluster: str
    rule: str
    muted: bool = True

    @property
    def tags(self) -> list[Tag]:
        """The tag of the rule."""
        return [Tag(type=ADVICE_TAG_TYPE, name=self.rule)]


class JobMeasurement(Part):
    """The values of one job from its start until now. Energy in kWh."""

    id: int
    footprint: dict[str, float] = {}
    energy: float = 0.0
    energy_footprint: dict[str, float] = {}


class JobsMeasured(Event):
    """Values of running jobs, computed from the metric store. A job that has ended meanwhile is not changed."""

    name: ClassVar[str] = "job.measured"

    cluster: str
    jobs: list[JobMeasurement]


class JobArchivingFailed(Event):
    name: ClassVar[str] = "job.archiving_failed"

    id: int
    cluster: str
    reason: str
    attempts: int
    stop_seq: int | None = Field(None, description="Sequence of the stop that was not archived.")


Cell = int | float | str | None  # a value of a table's column


class JobRestored(Event):
    """The complete state of a job whose events were lost. It replaces the row with this id.

    ``row`` has the columns of the table ``job``; missing ones have their defaults. ``meta_data`` is that column as an object, which
    is smaller than JSON inside JSON. ``tag_ids`` are ids of ``tag``.
    """

    name: ClassVar[str] = "job.restored"

    id: int
    cluster: str
    row: dict[str, Cell]
    tag_ids: list[int] = []
    meta_data: dict[str, str] | None = None


class RowsRestored(Event):
    """Part of another table whose events were lost: ``rows`` are all rows with ids above ``above`` and up to ``to``.

    ``rows`` have the columns of the table; missing ones have their defaults. Rows of ``job_deletion`` delete their jobs.
    """

    name: ClassVar[str] = "housekeeping.rows_restored"

    table: Literal["tag", "job_deletion", "parked_stop", "rejection", "node", "node_state", "node_health"]
    above: int
    to: int
    rows: list[dict[str, Cell]]


class NodeReport(Part):
    """The report of one node: its chosen state, and all known words of the scheduler. Memory in MB."""

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
    """The health of one node. ``missing`` metrics were never received, ``degraded`` ones are stale."""

    hostname: str
    health: Literal["full", "partial", "failed"]
    missing: list[str] = []
    degraded: list[str] = []


class NodesChecked(Event):
    """Whether nodes deliver their metrics, according to the metric store."""

    name: ClassVar[str] = "node.checked"

    cluster: str
    nodes: list[NodeHealth]


class IntakeRejected(Event):
    """Input that can never become an event. ``excerpt`` is its first 512 bytes as text.

    ``subject`` is the subject of the intake message or, over HTTP, method and path. Only intake messages have a stream, sequence and line.
    """

    name: ClassVar[str] = "intake.rejected"

    code: str
    field: str | None = None
    text: str
    subject: str
    stream: str = Field("", description="Name and creation time of the intake stream, as in message ids.")
    sequence: int | None = None
    line: int | None = None
    excerpt: Annotated[str, Field(max_length=2048)]


class IntakeReplayed(Event):
    """An intake message is processed again. Its rejections are deleted; those that still apply follow as new events.

    ``stream`` and ``sequence`` name the original message as its message ids do, ``storedUs`` is when the broker stored it, in
    microseconds since 1970.
    """

    name: ClassVar[str] = "intake.replayed"

    stream: str
    sequence: int
    stored_us: int


class RejectionsDismissed(Event):
    """A person has handled rejections with these sequences in the stream REJECTIONS: they leave the list, and the log keeps them."""

    name: ClassVar[str] = "intake.rejections_dismissed"

    sequences: list[int]


class RefusalsDismissed(Event):
    """Likewise, for rejections by the rules, whose sequences are of EVENTS."""

    name: ClassVar[str] = "housekeeping.refusals_dismissed"

    sequences: list[int]


class RejectionsDue(Event):
    """Deletes rejections of the stream REJECTIONS that are older than ``retentionS`` seconds."""

    name: ClassVar[str] = "intake.rejections_due"

    retention_s: int


class HousekeepingDue(Event):
    """Lets the rules of EVENTS act on elapsed time. Carries the limits, in seconds, so that its effect depends only on the log."""

    name: ClassVar[str] = "housekeeping.due"

    parked_stop_ttl_s: int
    rejection_retention_s: int
    walltime_grace_s: int | None = None


class LogContinued(Event):
    """Fills a sequence that was lost with an older log; has no effect."""

    name: ClassVar[str] = "housekeeping.log_continued"


EVENT_TYPES: dict[str, type[Event]] = {
    event.name: event
    for event in (
        JobStarted,
        JobStopped,
        JobImported,
        JobTakenOver,
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
        JobAdvised,
        JobAdviceMuted,
        ApplicationsDetected,
        JobRestored,
        NodesReported,
        NodesChecked,
        IntakeRejected,
        IntakeReplayed,
        RejectionsDismissed,
        RefusalsDismissed,
        RejectionsDue,
        HousekeepingDue,
        LogContinued,
        RowsRestored,
    )
}

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
# (name, version) -> converts the body to the next version
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


def type_of(event: Event) -> str:
    return f"{TYPE_PREFIX}{event.name}.v{event.version}"


def decode(event_type: str, body: bytes) -> Event:
    """The event of a CloudEvents type and JSON body. Raises Refused if this version cannot read it."""
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
    return event.__pydantic_serializer__.to_json(event, by_alias=True, exclude_defaults=True)  # model_dump_json without its text
