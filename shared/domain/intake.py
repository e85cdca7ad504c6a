"""From payloads to events: the checks that need no database, alike for NATS (ingest) and REST (gateway).

Source: event interface 2.2, 2.4, 3.1 and 4.1, with the differences of ``docs/events.md``.
"""

from collections.abc import Mapping

from shared.domain import reasons
from shared.domain.clusters import Cluster, assign_subcluster
from shared.domain.events import JobStarted, JobStopped, NodeReport, NodesReported, Tag
from shared.domain.nodes import choose_state, clean_words
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload
from shared.domain.values import GLOBAL_SCOPE, JOB_STATES, JobState
from shared.errors import Refused

Clusters = Mapping[str, Cluster]
MAX_NODES = 50_000  # a row of history has the report's sequence and the node's place in it as its id
MAX_TAGS = 1000  # tag ids are made of the event's sequence and the tag's place in it
MAX_MOMENT = 253_402_300_799  # the end of the year 9999; a time in milliseconds is beyond
MAX_NAME = 200  # characters; what PostgreSQL can index of three such names, 4 bytes a character


def job_started(payload: StartPayload, clusters: Clusters) -> JobStarted:
    """Raises Refused."""
    subcluster = assign_subcluster(clusters, payload.cluster, payload.sub_cluster, payload.resources[0].hostname)
    if len(payload.resources) != payload.num_nodes:
        raise Refused(
            reasons.NODE_COUNT_MISMATCH, f"is {payload.num_nodes}, but there are {len(payload.resources)} resources", field="numNodes"
        )
    if len(payload.tags) > MAX_TAGS:
        raise Refused(reasons.INVALID_VALUE, f"more than {MAX_TAGS} tags", field="tags")
    _check_moment("startTime", payload.start_time)
    _check_length("user", payload.user)
    _check_length("project", payload.project)
    for index, tag in enumerate(payload.tags):
        for part in ("type", "name", "scope"):
            _check_length(f"tags.{index}.{part}", getattr(tag, part))
    tags = {(t.type, t.name, t.scope or GLOBAL_SCOPE): None for t in payload.tags}
    return JobStarted(
        job_id=payload.job_id,
        cluster=payload.cluster,
        sub_cluster=subcluster,
        user=payload.user,
        start_time=payload.start_time,
        resources=payload.resources,
        num_nodes=payload.num_nodes,
        partition=payload.partition,
        project=payload.project,
        shared=payload.shared,
        array_job_id=payload.array_job_id,
        walltime=payload.walltime,
        requested_memory=payload.requested_memory,
        submit_time=payload.submit_time or _submit_time(payload.meta_data),
        smt=payload.smt,
        num_acc=payload.num_acc,
        num_hwthreads=payload.num_hwthreads,
        monitoring_status=payload.monitoring_status,
        meta_data=payload.meta_data,
        footprint=payload.footprint,
        energy=payload.energy,
        energy_footprint=payload.energy_footprint,
        statistics=payload.statistics,
        tags=[Tag(type=kind, name=name, scope=scope) for kind, name, scope in tags],
    )


def _check_moment(field: str, seconds: int) -> None:
    if seconds > MAX_MOMENT:
        raise Refused(reasons.INVALID_VALUE, f"{seconds} is beyond the year 9999; seconds since 1970 are expected", field=field)


def _check_length(field: str, name: str) -> None:
    if len(name) > MAX_NAME:
        raise Refused(reasons.INVALID_VALUE, f"is longer than {MAX_NAME} characters", field=field)


def _submit_time(meta_data: dict[str, str] | None) -> int:
    """The Slurm adapter sends the submit time as a text in the metadata."""
    text = (meta_data or {}).get("submitTime", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def job_stopped(payload: StopPayload, *, may_wait: bool) -> JobStopped:
    """Raises Refused. A requeued job's ``pending`` ends this run, as ``preempted``."""
    word = payload.job_state or JobState.COMPLETED
    if word not in JOB_STATES:
        raise Refused(reasons.INVALID_VALUE, f"{word[:60]!r} is not a job state", field="jobState")
    if word in (JobState.RUNNING, JobState.SUSPENDED):
        raise Refused(reasons.NOT_A_FINAL_STATE, f"{word!r} does not end a job", field="jobState")
    if payload.start_time is not None and payload.stop_time < payload.start_time:
        raise Refused(reasons.STOP_BEFORE_START, f"{payload.stop_time} is before startTime {payload.start_time}", field="stopTime")
    _check_moment("stopTime", payload.stop_time)
    requeued = word == JobState.PENDING
    return JobStopped(
        job_id=payload.job_id,
        cluster=payload.cluster,
        start_time=payload.start_time,
        stop_time=payload.stop_time,
        job_state=JobState.PREEMPTED if requeued else JobState(word),
        received_state=word if requeued else None,
        may_wait=may_wait,
    )


def nodes_reported(payload: NodeStatePayload, clusters: Clusters) -> tuple[NodesReported, list[Refused]]:
    """The report of the nodes that can be placed, and a refusal for each that cannot; the last of repeated hosts wins.

    Raises Refused when the cluster is unknown.
    """
    definition = clusters.get(payload.cluster)
    if definition is None:
        raise Refused(reasons.UNKNOWN_CLUSTER, f"{payload.cluster!r} is not configured", field="cluster")
    if len(payload.nodes) > MAX_NODES:
        raise Refused(reasons.INVALID_VALUE, f"more than {MAX_NODES} nodes", field="nodes")
    reports: dict[str, NodeReport] = {}
    refusals = []
    for index, node in enumerate(payload.nodes):
        if not node.hostname:
            refusals.append(Refused(reasons.MISSING_FIELD, "is empty", field=f"nodes.{index}.hostname"))
            continue
        field = f"nodes.{index}.hostname"
        if len(node.hostname) > MAX_NAME:
            refusals.append(Refused(reasons.INVALID_VALUE, f"is longer than {MAX_NAME} characters", field=field))
            continue
        subcluster = definition.subcluster_of(node.hostname)
        if subcluster is None:
            refusals.append(
                Refused(
                    reasons.NO_SUBCLUSTER,
                    f"no subcluster of {payload.cluster} has the host {node.hostname!r}",
                    field=field,
                )
            )
            continue
        words = clean_words(node.states)
        reports[node.hostname] = NodeReport(
            hostname=node.hostname,
            sub_cluster=subcluster,
            state=choose_state(words),
            states=words,
            cpus_allocated=node.cpus_allocated,
            memory_allocated=node.memory_allocated,
            gpus_allocated=node.gpus_allocated,
            jobs_running=node.jobs_running,
        )
    return NodesReported(cluster=payload.cluster, nodes=list(reports.values())), refusals


def agree_on_cluster(subject_cluster: str | None, payload_cluster: str | None) -> None:
    """A subject that carries the cluster binds the payload to it; raises Refused."""
    if subject_cluster is not None and payload_cluster is not None and payload_cluster != subject_cluster:
        raise Refused(reasons.CLUSTER_MISMATCH, f"is {payload_cluster!r}, but the subject is of {subject_cluster!r}", field="cluster")
