"""The adapter of the simulated schedulers: jobs and node states as line protocol."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from cli.demo.machines import Node
from cli.demo.scheduler import Job, Placement, Scheduler
from cli.demo.workload import job_name, script

NODE_MEMORY_MB = 256_000


def line(measurement: str, payload: dict[str, Any], at_s: int, **tags: str) -> bytes:
    """One event as one line: compact JSON, in which backslashes and quotes are then escaped."""
    text = orjson.dumps(payload).decode().replace("\\", "\\\\").replace('"', '\\"')
    all_tags = {"hostname": "mgmt1", "type": "node", "type-id": "0"} | tags
    named = "".join(f",{name}={value}" for name, value in sorted(all_tags.items()))
    return f'{measurement}{named} event="{text}" {at_s * 1_000_000_000}\n'.encode()


def start_line(job: Job, nodes: Mapping[str, Node]) -> bytes:
    return line("job", start_payload(job, nodes), job.start, function="start_job")


def start_payload(job: Job, nodes: Mapping[str, Node]) -> dict[str, Any]:
    wanted = job.request
    resources = [_resource(placement, nodes) for placement in job.placements]
    payload = {
        "cluster": job.cluster,
        "subCluster": "",
        "partition": wanted.kind.partition,
        "project": wanted.project,
        "user": wanted.user,
        "shared": "multi_user" if wanted.kind.gpus else "none",
        "jobState": "running",
        "resources": resources,
        "metaData": {
            "jobName": job_name(wanted),
            "jobScript": script(wanted, len(resources), job.pace),
            "slurmInfo": f"JobId={job.job_id} JobName={job_name(wanted)}\n   UserId={wanted.user} Account={wanted.project} QOS=normal\n"
            f"   Partition={wanted.kind.partition} NumNodes={len(resources)}",
            "submitTime": str(job.start - round(wanted.wait_s * job.pace)),
        },
        "walltime": wanted.walltime_s * job.pace,
        "requestedMemory": NODE_MEMORY_MB if not wanted.kind.gpus else 60_000 * wanted.size,
        "jobId": job.job_id,
        "smt": 1,
        "numNodes": len(resources),
        "numHwthreads": sum(len(r["hwthreads"]) if "hwthreads" in r else nodes[r["hostname"]].hwthreads for r in resources),
        "numAcc": sum(len(accelerators) for _, accelerators in job.placements),
        "startTime": job.start,
    }
    if wanted.kind.array:
        payload["arrayJobId"] = job.job_id - job.job_id % 10
    return payload


def _resource(placement: Placement, nodes: Mapping[str, Node]) -> dict[str, Any]:
    hostname, accelerators = placement
    if not accelerators:
        return {"hostname": hostname}
    node = nodes[hostname]
    share = node.hwthreads // max(1, len(node.accelerators))
    hwthreads: list[int] = []
    for accelerator in accelerators:
        first = share * node.accelerators.index(accelerator)
        hwthreads += range(first, first + share)
    return {"hostname": hostname, "hwthreads": hwthreads, "accelerators": list(accelerators)}


def stop_line(job: Job) -> bytes:
    wanted = job.request
    payload = {"jobId": job.job_id, "cluster": job.cluster, "jobState": wanted.end_state, "stopTime": job.end}
    return line("job", payload, job.end, function="stop_job", partition=wanted.kind.partition)


def node_states(scheduler: Scheduler) -> dict[str, dict[str, Any]]:
    """Every node's state as the scheduler reports it, by hostname."""
    used = scheduler.jobs_by_node()
    return {node.hostname: _node_state(node, used.get(node.hostname, []), scheduler) for node in scheduler.nodes}


def _node_state(node: Node, jobs: list[tuple[Job, Placement]], scheduler: Scheduler) -> dict[str, Any]:
    accelerators = sum(len(placement[1]) for _, placement in jobs)
    is_full = bool(jobs) and accelerators == len(node.accelerators)
    part = accelerators / len(node.accelerators) if node.accelerators else float(bool(jobs))
    state = "ALLOCATED" if is_full else "MIXED" if jobs else "IDLE"
    return {
        "hostname": node.hostname,
        "states": ["DOWN", "DRAIN"] if scheduler.is_broken(node) else [state],
        "cpusAllocated": round(part * node.hwthreads),
        "memoryAllocated": round(part * NODE_MEMORY_MB),
        "gpusAllocated": accelerators,
        "jobsRunning": len(jobs),
    }


def node_line(cluster: str, nodes: Iterable[dict[str, Any]], now: int) -> bytes:
    return line("nodestate", node_payload(cluster, nodes), now)


def node_payload(cluster: str, nodes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"cluster": cluster, "nodes": list(nodes)}
