"""Changes as server-sent events. Each text is rendered once and shared by all clients that see the same."""

from typing import Any

import orjson

from services.gateway.frame.answers import encode
from services.gateway.live.changes import Change, JobChange, JobDeletion, StoredNode
from services.gateway.live.resume import resume_text
from services.gateway.rest.render import job_object
from shared.database.progress import Progress

Json = dict[str, Any]


def event(change: Change, scopes: frozenset[str], now: float) -> bytes:
    """``scopes`` are the tag scopes that the viewer may read. The duration of a running job counts up to ``now``."""
    tags = [tag for tag in change.tags if tag.scope in scopes] if isinstance(change, JobChange) else []
    key = tuple(tag.id for tag in tags)
    text = change.texts.get(key)
    if text is None:
        if isinstance(change, JobChange):
            name, data = b"job", job_object(change.job, now, tags=tags)
        elif isinstance(change, JobDeletion):
            name, data = b"job_deleted", {"id": change.id, "cluster": change.cluster}
        else:
            name, data = b"node", node_object(change.node)
        text = change.texts[key] = block(name, change.resume, data)
    return text


def block(name: bytes, at: Progress, data: Json) -> bytes:
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name, resume_text(at).encode(), encode(data))


def position_block(at: Progress, *first_lines: bytes) -> bytes:
    """A block that advances the client's last event id without an event."""
    return b"".join(line + b"\n" for line in first_lines) + b"id: %b\n\n" % resume_text(at).encode()


def node_object(node: StoredNode) -> Json:
    """The node's state with the field names of GraphQL."""
    return {
        "id": str(node.id),
        "hostname": node.hostname,
        "cluster": node.cluster,
        "subCluster": node.subcluster,
        "jobsRunning": node.jobs_running,
        "cpusAllocated": node.cpus_allocated,
        "memoryAllocated": node.memory_allocated,
        "gpusAllocated": node.gpus_allocated,
        "schedulerState": node.node_state,
        "healthState": node.health_state,
        "metaData": orjson.loads(node.meta_data) if node.meta_data else {},
        "healthData": orjson.loads(node.health_data),
    }
