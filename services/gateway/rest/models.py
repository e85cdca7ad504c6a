"""Models of answers. Handlers build plain dictionaries; a test checks them against these models."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, RootModel

from services.gateway.frame.models import Answer
from shared.domain.events import JobAdvice
from shared.domain.payloads import MetricStatistics
from shared.domain.values import JobState, SharedNode


class Message(Answer):
    msg: str


class UserObject(Answer):
    """``authSource``: 0 local password, 1 LDAP, 2 token, 3 OpenID Connect, -1 unknown."""

    username: str
    name: str
    roles: list[str]
    email: str
    projects: list[str]
    auth_type: Literal[0, 1] = Field(description="0; a session has 1.")
    auth_source: int


class TokenObject(Answer):
    """An issued token. ``issued`` and ``expires`` are Unix seconds; ``expires`` is null when the token does not expire."""

    id: str
    username: str
    roles: list[str]
    label: str = Field(description="Purpose, as given when the token was issued.")
    program: bool = Field(description="Stays valid when its user is changed or removed.")
    issued: int
    issued_by: str
    expires: int | None
    wall: str | None = Field(None, description="The cluster of a link to a wall screen; null for a token of the API.")


class LogEntry(Answer):
    """``timestamp`` in microseconds since 1970, as text; ``priority`` as syslog has them."""

    timestamp: str
    priority: int
    message: str
    unit: str


class TaggerObject(Answer):
    name: str
    type: str
    running: bool


class SignedInUser(Answer):
    username: str
    name: str
    roles: list[str]


class SignedIn(Answer):
    user: SignedInUser


class TagObject(Answer):
    """``scope`` is ``global``, ``admin``, or the user whose private tag it is."""

    type: str
    name: str
    scope: str
    id: int


class ResourceObject(Answer):
    hostname: str
    hwthreads: list[int] = []
    accelerators: list[str] = []
    configuration: str = ""


class ConcurrentJobsObject(Answer):
    """Always empty; clients of cc-backend expect the field."""

    items: None
    count: Literal[0]


class JobObject(Answer):
    """A job; times in Unix seconds, durations in seconds, energy in kWh.

    ``partition``, ``tags``, ``numHwthreads``, ``numAcc``, ``smt``, ``walltime``, ``arrayJobId`` and
    ``monitoringStatus`` are absent when they are empty or 0.
    """

    id: int = Field(description="Database id: the sequence of the start in the log.")
    job_id: int = Field(description="The scheduler's id.")
    cluster: str
    sub_cluster: str
    partition: str = ""
    project: str
    user: str
    shared: SharedNode
    job_state: Annotated[JobState, Field(strict=False)]
    tags: list[TagObject] = []
    resources: list[ResourceObject]
    num_nodes: int
    num_hwthreads: int = 0
    num_acc: int = 0
    smt: int = 0
    walltime: int = 0
    array_job_id: int = 0
    start_time: int
    duration: int = Field(description="For running jobs: until now.")
    monitoring_status: int = Field(0, ge=0, le=3, description="0 disabled, 1 running or archiving, 2 archiving failed, 3 archived.")
    meta_data: dict[str, str] | None
    advice: list[JobAdvice] = Field([], description="The findings of the site's rules about the job, most severe first.")
    footprint: dict[str, float] | None
    energy: float
    energy_footprint: dict[str, float] | None
    statistics: dict[str, MetricStatistics] | None
    concurrent_jobs: ConcurrentJobsObject


class JobList(Answer):
    """``items`` is the requested page size."""

    jobs: list[JobObject]
    items: int
    page: int


class JobWithAllMetrics(Answer):
    """``Data`` is metric, then scope, to series; null unless ``all-metrics=true``."""

    meta: JobObject = Field(alias="Meta")
    data: dict[str, dict[str, Any]] | None = Field(alias="Data")


class MetricOfJob(Answer):
    name: str
    scope: str
    metric: dict[str, Any]


class JobWithMetrics(Answer):
    meta: JobObject = Field(alias="Meta")
    data: list[MetricOfJob] = Field(alias="Data")


class MetricsOfJob(Answer):
    job_metrics: list[MetricOfJob]


class JobMetricsAnswer(Answer):
    """Exactly one of the two is null. With ``error``, the HTTP status is an error too."""

    data: MetricsOfJob | None
    error: dict[str, str] | None


class UsedNodes(Answer):
    """Host names by cluster, sorted."""

    used_nodes: dict[str, list[str]]


class RefusedPart(Answer):
    code: str = Field(description="A reason code, as in the list of rejections.")
    field: str | None
    text: str


class NodesRefused(Answer):
    """The first 100 refusals of a report that was otherwise stored; `count` is the total number."""

    refused: list[RefusedPart]
    count: int


class RejectionObject(Answer):
    """An input that could not take effect. ``time`` in Unix seconds."""

    stream: str = Field(description="`REJECTIONS`: refused before it became an event; `EVENTS`: refused by the rules.")
    sequence: int = Field(description="In this stream.")
    time: float
    code: str
    field: str | None
    text: str
    subject: str | None
    intake_sequence: int | None = Field(description="Sequence of the raw message in the intake, for a replay.")
    line: int | None
    job_id: int | None
    cluster: str | None
    excerpt: str


class RejectionList(Answer):
    rejections: list[RejectionObject]
    items: int
    page: int
    next: str = Field(description="Pass it as `after` to get only rejections recorded after this answer.")


class ReplayedMessages(Answer):
    """`expired` messages are no longer in the intake. With `hasMore`, continue with `after` = `last`."""

    published: int
    expired: int
    last: int = Field(description="Intake sequence of the last message.")
    has_more: bool


class ReplayBegun(ReplayedMessages):
    before: str = Field(description="Pass it to `GET /frontend/rejections/replayed/`, with `until` = `last`.")


class ReplayState(Answer):
    """Numbers of messages. Those that neither wait nor were refused again took effect."""

    waiting: int
    refused: int


class DismissedRejections(Answer):
    """Up to 1,000 per request; with `hasMore`, repeat it."""

    dismissed: int
    has_more: bool


class RejectionGroupObject(Answer):
    code: str
    cluster: str | None = Field(description="Null: the input names no cluster.")
    count: int
    replayable: int = Field(description="Those that came through the intake.")
    newest: float = Field(description="Unix seconds.")
    bars: list[int] = Field(description="Counts over time, each of `barSeconds`.")


class ReasonObject(Answer):
    code: str
    meaning: str
    remedy: str = Field(description="What an operator can do.")
    replay_helps: bool = Field(description="False: the same message would be refused again, whatever is mended elsewhere.")


class RejectionOverview(Answer):
    """The 200 largest groups; ``count`` covers all rejections since ``since``, in Unix seconds."""

    count: int
    groups: list[RejectionGroupObject]
    reasons: list[ReasonObject]
    since: int
    bar_seconds: int
    next: str = Field(description="Pass it as `after` to the list to get only later rejections.")


class ReceivedMessage(Answer):
    """A message of the intake. ``time`` in Unix seconds."""

    stream: str
    sequence: int
    subject: str | None
    time: float | None
    bytes: int
    lines: int
    raw: str = Field(description="The refused line as received.")
    payload: str | None = Field(description="Its field `event`, without the escapes of line protocol.")
    is_cut: bool = Field(description="`raw` or `payload` is longer than shown.")


class RejectionDetail(RejectionObject):
    message: ReceivedMessage | None
    message_missing: str = Field(description="Why there is no message; empty if there is one.")
    job: int | None = Field(description="Database id of the newest job with this id in this cluster.")


class ClusterList(Answer):
    """Cluster definitions, with the effective metrics of each subcluster."""

    clusters: list[dict[str, Any]]


class EventStream(RootModel[str]):
    """Events `job`, `job_deleted`, `node`, `rejections`, `reset` and `end`, each with an id; `data` is a JSON object.

    `job` has the job as it is now, as in the list of jobs, without metadata and statistics; `job_deleted` has `id` and
    `cluster`. `node` has the node's state with the names of GraphQL; `rejections` the present `counts` by code.
    Events come in the order of the log. Changes that
    follow each other closely appear as one event with the last state, and after a resume an event may appear again.
    `reset`: nothing is known of what changed since the last event (the tables were rebuilt, or the id that was given is
    not of this database), everything is to be loaded again. `end`: the sign-in is no longer good or its rights changed;
    the connection ends.
    """

    content_type: ClassVar[str] = "text/event-stream"
