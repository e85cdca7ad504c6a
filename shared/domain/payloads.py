"""The JSON payloads that adapters send (start_job, stop_job and nodestate) and their strict validation.

The same objects arrive over NATS and over REST. Field names on the wire are camelCase, as in ``shared.domain.wire``.
"""

from typing import Annotated

from pydantic import Field, field_validator

from shared.domain.values import INT32_MAX, INT64_MAX, MAX_NAME, TIME_MAX, SharedNode
from shared.domain.wire import INFORMS, INFORMS_AS_TEXT, Payload, WireModel

Int32 = Annotated[int, Field(ge=-INT32_MAX - 1, le=INT32_MAX)]
Int64 = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
Seconds = Annotated[int, Field(ge=0, le=TIME_MAX)]
Moment = Annotated[int, Field(ge=1, le=TIME_MAX)]  # Unix seconds
Name = Annotated[str, Field(max_length=MAX_NAME)]
NonEmptyName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
PositiveId = Annotated[int, Field(ge=1, le=INT64_MAX)]


class Resource(WireModel):
    """One node of a job. Without ``hwthreads``, the job uses the whole node or the threads are unknown."""

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


class StartPayload(Payload):
    """A job object as sent at its start. Faults in fields that identify or bound the job refuse it; the other fields are informative."""

    job_id: PositiveId
    cluster: NonEmptyName
    user: NonEmptyName
    start_time: Moment
    resources: Annotated[list[Resource], Field(min_length=1)]
    num_nodes: Annotated[int, Field(ge=1, le=INT32_MAX)]
    sub_cluster: Name = ""
    project: Name = ""
    shared: SharedNode = "none"
    tags: list[TagPayload] = Field(default_factory=list, json_schema_extra={"default": []})
    monitoring_status: Annotated[int, Field(ge=0, le=3)] = 1
    partition: Annotated[Name, INFORMS] = ""
    job_state: Annotated[str, INFORMS] = ""
    energy_footprint: Annotated[dict[str, float] | None, INFORMS] = None
    footprint: Annotated[dict[str, float] | None, INFORMS] = None
    meta_data: Annotated[dict[str, str] | None, INFORMS_AS_TEXT] = None
    concurrent_jobs: Annotated[ConcurrentJobs | None, INFORMS] = None
    energy: Annotated[float, INFORMS] = 0.0
    array_job_id: Annotated[Int64, INFORMS] = 0
    walltime: Annotated[Seconds, INFORMS] = 0
    requested_memory: Annotated[Seconds, INFORMS] = 0
    submit_time: Annotated[Seconds, INFORMS] = 0
    duration: Annotated[Int32, INFORMS] = 0
    smt: Annotated[Count, INFORMS] = 0
    num_acc: Annotated[Count, INFORMS] = 0
    num_hwthreads: Annotated[Count, INFORMS] = 0
    statistics: Annotated[dict[str, MetricStatistics] | None, INFORMS] = None
    id: Annotated[Int64, INFORMS] = 0


class StopPayload(Payload):
    """The end of a job. ``cluster`` and ``start_time``, if given, restrict the search for the run."""

    job_id: PositiveId
    stop_time: Moment
    cluster: Name | None = None
    start_time: Int64 | None = None
    job_state: str = ""


class NodePayload(WireModel):
    """One node. If ``hostname`` is empty or too long, only this node is refused, see ``intake.nodes_reported``."""

    hostname: str = ""
    states: list[str] | None = None
    cpus_allocated: Annotated[Int64, INFORMS] = 0
    memory_allocated: Annotated[Int64, INFORMS] = 0
    gpus_allocated: Annotated[Int64, INFORMS] = 0
    jobs_running: Annotated[Int64, INFORMS] = 0


class NodeStatePayload(Payload):
    """Node states of one cluster."""

    cluster: NonEmptyName
    nodes: list[NodePayload] = []

    @field_validator("nodes", mode="before")
    @classmethod
    def _null_is_a_node_without_name(cls, nodes: object) -> object:
        """Makes a null a node without hostname, so that only this node is refused."""
        return [{} if node is None else node for node in nodes] if isinstance(nodes, list) else nodes
