"""What adapters send: the JSON payloads of start_job, stop_job and nodestate, and their strict reading.

The same objects arrive over NATS and over REST. Field names on the wire are camelCase, as in ``shared.domain.wire``.
"""

from typing import Annotated

from pydantic import Field

from shared.domain.values import INT32_MAX, INT64_MAX, TIME_MAX, SharedNode
from shared.domain.wire import WireModel

# Names stand in indexes and in subjects; a longer one would be refused by PostgreSQL, or end the connection to the broker.
MOST_NAME_CHARACTERS = 255

Int32 = Annotated[int, Field(ge=-INT32_MAX - 1, le=INT32_MAX)]
Int64 = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
Seconds = Annotated[int, Field(ge=0, le=TIME_MAX)]
Moment = Annotated[int, Field(ge=1, le=TIME_MAX)]  # Unix seconds
Name = Annotated[str, Field(max_length=MOST_NAME_CHARACTERS)]
NonEmptyName = Annotated[str, Field(min_length=1, max_length=MOST_NAME_CHARACTERS)]
PositiveId = Annotated[int, Field(ge=1, le=INT64_MAX)]


class Resource(WireModel):
    """One node of a job. Absent ``hwthreads`` mean the whole node, or unknown."""

    hostname: NonEmptyName
    hwthreads: list[Int32] | None = None
    accelerators: list[str] | None = None
    configuration: str = ""


class TagPayload(WireModel):
    type: NonEmptyName
    name: NonEmptyName
    scope: Name = ""
    id: Int64 = 0


class Unit(WireModel):
    base: str = ""
    prefix: str = ""


class MetricStatistics(WireModel):
    unit: Unit = Unit()
    avg: float = 0.0
    min: float = 0.0
    max: float = 0.0


class ConcurrentJob(WireModel):
    id: Int64 = 0
    job_id: Int64 = 0


class ConcurrentJobs(WireModel):
    items: list[ConcurrentJob] | None = None
    count: Int64 = 0


class StartPayload(WireModel):
    """A job object, as sent at its start."""

    job_id: PositiveId
    cluster: NonEmptyName
    user: NonEmptyName
    start_time: Moment
    resources: Annotated[list[Resource], Field(min_length=1)]
    num_nodes: Annotated[int, Field(ge=1, le=INT32_MAX)]
    sub_cluster: Name = ""
    partition: Name = ""
    project: Name = ""
    shared: SharedNode = "none"
    job_state: str = ""
    tags: list[TagPayload] = []
    energy_footprint: dict[str, float] | None = None
    footprint: dict[str, float] | None = None
    meta_data: dict[str, str] | None = None
    concurrent_jobs: ConcurrentJobs = ConcurrentJobs()
    energy: float = 0.0
    array_job_id: Int64 = 0
    walltime: Seconds = 0
    requested_memory: Seconds = 0
    submit_time: Seconds = 0
    duration: Int32 = 0
    smt: Count = 0
    monitoring_status: Annotated[int, Field(ge=0, le=3)] = 1
    num_acc: Count = 0
    num_hwthreads: Count = 0
    statistics: dict[str, MetricStatistics] | None = None
    id: Int64 = 0


class StopPayload(WireModel):
    """The end of a job. ``cluster`` and ``start_time`` narrow the search when given."""

    job_id: PositiveId
    stop_time: Moment
    cluster: Name | None = None
    start_time: Int64 | None = None
    job_state: str = ""


class NodePayload(WireModel):
    """One node. An empty ``hostname`` refuses this node alone, see ``intake.nodes_reported``."""

    hostname: Name = ""
    states: list[str] | None = None
    cpus_allocated: Int64 = 0
    memory_allocated: Int64 = 0
    gpus_allocated: Int64 = 0
    jobs_running: Int64 = 0


class NodeStatePayload(WireModel):
    """States of nodes of one cluster."""

    cluster: NonEmptyName
    nodes: list[NodePayload] = []
