"""Builders for valid events and lines; a test gives only the relevant values."""

import json
from collections.abc import Sequence
from typing import Any

from shared.domain.events import JobStarted, JobStopped, NodeHealth, NodeReport, NodesChecked, NodesReported
from shared.domain.payloads import Resource
from shared.domain.values import JobState
from tests.support.clusters import FIRST_NODE

START_TIME = 1_700_000_000  # of jobs whose start time does not matter


def start_payload(job_id: int = 1, cluster: str = "fritz", nodes: Sequence[str] | None = None, **fields: Any) -> dict[str, Any]:
    """The JSON object of ``start_job``; ``fields`` have their names on the wire."""
    hosts = list(nodes or [FIRST_NODE.get(cluster, "node01")])
    return {
        "jobId": job_id,
        "cluster": cluster,
        "user": "alice",
        "project": "physics",
        "partition": "main",
        "startTime": START_TIME,
        "walltime": 86_400,
        "numNodes": len(hosts),
        "resources": [{"hostname": host} for host in hosts],
        **fields,
    }


def stop_payload(job_id: int = 1, cluster: str | None = "fritz", **fields: Any) -> dict[str, Any]:
    payload = {"jobId": job_id, "stopTime": START_TIME + 3600, "jobState": "completed", **fields}
    return payload if cluster is None else {"cluster": cluster, **payload}


def node_payload(cluster: str = "fritz", states: dict[str, Sequence[str]] | None = None) -> dict[str, Any]:
    chosen = states or {FIRST_NODE.get(cluster, "node01"): ["idle"]}
    return {"cluster": cluster, "nodes": [{"hostname": host, "states": list(words)} for host, words in chosen.items()]}


def line(payload: Any, *, function: str | None = None, measurement: str = "job", timestamp: int | None = None) -> bytes:
    """One line as adapters write it. ``payload`` is text, or is encoded as JSON."""
    text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    tags = f",function={function}" if function else ""
    time = f" {timestamp}" if timestamp is not None else ""
    return f'{measurement}{tags},hostname=mgmt01,type=node,type-id=0 event="{escaped}"{time}\n'.encode()


def start_line(job_id: int = 1, cluster: str = "fritz", nodes: Sequence[str] | None = None, **fields: Any) -> bytes:
    return line(start_payload(job_id, cluster, nodes, **fields), function="start_job")


def stop_line(job_id: int = 1, cluster: str | None = "fritz", **fields: Any) -> bytes:
    return line(stop_payload(job_id, cluster, **fields), function="stop_job")


def node_line(cluster: str = "fritz", states: dict[str, Sequence[str]] | None = None) -> bytes:
    return line(node_payload(cluster, states), measurement="nodestate")


def job_started(job_id: int = 1, cluster: str = "fritz", **fields: Any) -> JobStarted:
    """``fields`` are those of the event, in snake case."""
    defaults: dict[str, Any] = {
        "sub_cluster": "main",
        "user": "alice",
        "project": "physics",
        "partition": "main",
        "start_time": START_TIME,
        "walltime": 86_400,
        "resources": [Resource(hostname=FIRST_NODE.get(cluster, "node01"))],
    }
    given = defaults | fields
    given.setdefault("num_nodes", len(given["resources"]))
    return JobStarted(job_id=job_id, cluster=cluster, **given)


def job_stopped(job_id: int = 1, cluster: str | None = "fritz", **fields: Any) -> JobStopped:
    defaults: dict[str, Any] = {"stop_time": START_TIME + 3600, "job_state": JobState.COMPLETED}
    return JobStopped(job_id=job_id, cluster=cluster, **(defaults | fields))


def nodes_reported(cluster: str = "fritz", states: dict[str, str] | None = None) -> NodesReported:
    chosen = states or {FIRST_NODE.get(cluster, "node01"): "idle"}
    reports = [NodeReport(hostname=host, sub_cluster="main", state=state, states=[state]) for host, state in chosen.items()]
    return NodesReported(cluster=cluster, nodes=reports)


def nodes_checked(cluster: str = "fritz", health: dict[str, str] | None = None) -> NodesChecked:
    """Health that is not ``full`` has a missing metric."""
    chosen = health or {FIRST_NODE.get(cluster, "node01"): "full"}
    found = [{"hostname": host, "health": state, "missing": [] if state == "full" else ["mem_bw"]} for host, state in chosen.items()]
    return NodesChecked(cluster=cluster, nodes=[NodeHealth.model_validate(one) for one in found])
