"""Converts payloads to events, with all checks that need no database. Used for NATS (ingest) and REST (gateway).

Source: event interface 2.2, 2.4, 3.1 and 4.1, with the differences of ``docs/events.md``.
"""

from collections.abc import Mapping

from shared.domain import oddities, reasons
from shared.domain.clusters import Cluster, assign_subcluster
from shared.domain.events import JobStarted, JobStopped, NodeReport, NodesReported, Tag
from shared.domain.nodes import choose_state, clean_words
from shared.domain.oddities import Oddity
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload
from shared.domain.states import state_of
from shared.domain.values import FINAL_STATES, GLOBAL_SCOPE, INT32_MAX, MAX_NAME, JobState
from shared.errors import Refused

Clusters = Mapping[str, Cluster]
MAX_NODES = 50_000  # bounded because a history row's id combines the report's sequence and the node's index
MAX_TAGS = 1000  # bounded because a tag id combines the event's sequence and the tag's index
MAX_STATE = 100  # stored characters of a state word
MAX_MOMENT = 253_402_300_799  # the end of the year 9999; times in milliseconds are beyond it


def job_started(payload: StartPayload, clusters: Clusters) -> JobStarted:
    """Raises Refused. For a job that had already ended when its start was sent, see also ``stop_of``."""
    subcluster = assign_subcluster(clusters, payload.cluster, payload.sub_cluster, payload.resources[0].hostname)
    if len(payload.resources) != payload.num_nodes:
        raise Refused(
            reasons.NODE_COUNT_MISMATCH, f"is {payload.num_nodes}, but there are {len(payload.resources)} resources", field="numNodes"
        )
    if len(payload.tags) > MAX_TAGS:
        raise Refused(reasons.INVALID_VALUE, f"more than {MAX_TAGS} tags", field="tags")
    _check_moment("startTime", payload.start_time)
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
        oddities=[*payload.oddities, *_state_at_start(payload)],
    )


def _state_at_start(payload: StartPayload) -> list[Oddity]:
    """The oddity of a final state without a duration."""
    if state_of(payload.job_state) not in FINAL_STATES or stop_of(payload) is not None:
        return []
    text = f"{payload.job_state!r} at the start, without a duration; recorded as running"
    return [Oddity(code=oddities.STATE_AT_START, field="jobState", text=text)]


def stop_of(payload: StartPayload) -> JobStopped | None:
    """The stop of a job that had already ended when its start was sent: the start has a final state and a duration."""
    state, received, found = _final_state(payload.job_state)
    if state_of(payload.job_state) not in FINAL_STATES or not 0 < payload.duration <= INT32_MAX:
        return None
    return JobStopped(
        job_id=payload.job_id,
        cluster=payload.cluster,
        start_time=payload.start_time,
        stop_time=payload.start_time + payload.duration,
        job_state=state,
        received_state=received,
        oddities=found,
    )


def _check_moment(field: str, seconds: int) -> None:
    if seconds > MAX_MOMENT:
        raise Refused(reasons.INVALID_VALUE, f"{seconds} is after the year 9999; seconds since 1970 are expected", field=field)


def _submit_time(meta_data: dict[str, str] | None) -> int:
    """The submit time from the metadata, where the Slurm adapter sends it as a string."""
    text = (meta_data or {}).get("submitTime", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def job_stopped(payload: StopPayload, *, may_wait: bool) -> JobStopped:
    """Raises Refused. The stop time is not checked here, since this needs the job."""
    state, received, found = _final_state(payload.job_state)
    if state in (JobState.RUNNING, JobState.SUSPENDED):
        raise Refused(reasons.NOT_A_FINAL_STATE, f"{payload.job_state[:MAX_STATE]!r} does not end a job", field="jobState")
    _check_moment("stopTime", payload.stop_time)
    return JobStopped(
        job_id=payload.job_id,
        cluster=payload.cluster,
        start_time=payload.start_time,
        stop_time=payload.stop_time,
        job_state=state,
        received_state=received,
        may_wait=may_wait,
        oddities=[*payload.oddities, *found],
    )


def _final_state(text: str) -> tuple[JobState, str | None, list[Oddity]]:
    """The state to store, the received word if it differs, and oddities. A requeued run is stored as preempted."""
    if text in ("", JobState.COMPLETED):
        return JobState.COMPLETED, None, []
    known = state_of(text)
    state = JobState.PREEMPTED if known == JobState.PENDING else known or JobState.FAILED
    if text == state:
        return state, None, []
    received = text[:MAX_STATE]
    if text == JobState.PENDING:
        return state, received, []  # how adapters report a requeue
    verb = "is unknown and counts" if known is None else "was taken"
    return state, received, [Oddity(code=oddities.STATE_WORD, field="jobState", text=f"{received!r} {verb} as {state.value!r}")]


def nodes_reported(payload: NodeStatePayload, clusters: Clusters) -> tuple[NodesReported, list[Refused]]:
    """The report of the nodes that belong to a subcluster, and a refusal for each other one. The last of repeated hosts wins.

    Raises Refused if the cluster is unknown.
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
                    f"no subcluster of {payload.cluster} contains the host {node.hostname!r}",
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
    return NodesReported(cluster=payload.cluster, nodes=list(reports.values()), oddities=list(payload.oddities)), refusals


def agree_on_cluster(subject_cluster: str | None, payload_cluster: str | None) -> None:
    """Raises Refused if the subject contains a cluster and the payload names another one."""
    if subject_cluster is not None and payload_cluster is not None and payload_cluster != subject_cluster:
        raise Refused(reasons.CLUSTER_MISMATCH, f"is {payload_cluster!r}, but the subject is for {subject_cluster!r}", field="cluster")
