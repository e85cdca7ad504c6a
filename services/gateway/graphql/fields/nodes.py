"""Nodes and their states. Lists and counts are for staff."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from services.gateway.errors import bad_request, forbidden, not_found
from services.gateway.graphql.arguments import numeric_id, text_match, unix_seconds
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Tables
from services.gateway.people.identity import ADMIN, SUPPORT
from services.gateway.reading.nodes import NodeFilter, NodeRecords

EMPTY = orjson.Fragment(b"{}")


@dataclass(frozen=True, slots=True)
class NodeView:
    """A row of ``node``. Metadata and health details are shown only with ``with_meta``."""

    row: Any
    with_meta: bool = False


@dataclass(frozen=True, slots=True)
class NodePage:
    items: Sequence[NodeView]


@dataclass(frozen=True, slots=True)
class StateTimes:
    """Parallel lists."""

    state: str
    counts: Sequence[int]
    times: Sequence[int]


def require_staff(ask: Ask) -> None:
    """Raises RequestError (403)."""
    if not ask.user.roles & {ADMIN, SUPPORT}:
        raise forbidden("the role admin or support is required")


def node_filters(given: Sequence[Any] | None) -> list[NodeFilter]:
    return [
        NodeFilter(
            hostname=text_match(item.get("hostname")),
            cluster=text_match(item.get("cluster")),
            subcluster=text_match(item.get("subCluster")),
            scheduler_state=item.get("schedulerState"),
            health_state=item.get("healthState"),
            after=item.get("timeStart"),
        )
        for item in given or ()
    ]


@answers(QUERY, "nodes")
async def nodes(ask: Ask) -> NodePage:
    return await _list(ask, with_meta=False)


@answers(QUERY, "nodesWithMeta")
async def nodes_with_meta(ask: Ask) -> NodePage:
    return await _list(ask, with_meta=True)


async def _list(ask: Ask, *, with_meta: bool) -> NodePage:
    require_staff(ask)
    return NodePage([NodeView(row, with_meta) for row in await ask.gateway.nodes.all(node_filters(ask["filter"]))])


@answers(QUERY, "node")
async def node(ask: Ask) -> NodeView:
    """Raises RequestError (404)."""
    key = numeric_id(ask["id"], "id")
    row = await ask.gateway.nodes.by_id(key)
    if row is None:
        raise not_found(f"no node with the database id {key}")
    return NodeView(row)


@answers(QUERY, "nodeStates")
async def node_states(ask: Ask) -> list[tuple[str, int]]:
    """Counts by scheduler state, then by health."""
    require_staff(ask)
    where = node_filters(ask["filter"])
    return [*await ask.gateway.nodes.count(where, "node"), *await ask.gateway.nodes.count(where, "health")]


@answers(QUERY, "nodeStatesTimed")
async def node_states_timed(ask: Ask) -> list[StateTimes]:
    require_staff(ask)
    kind = ask["type"]
    if kind not in ("node", "health"):
        raise bad_request(f"type: {kind[:60]!r} is neither node nor health")
    rows = await ask.gateway.nodes.history(node_filters(ask["filter"]), kind)
    groups = [(state, list(found)) for state, found in groupby(rows, itemgetter(0))]
    return [StateTimes(state, [nodes for _, _, nodes in found], [at for _, at, _ in found]) for state, found in groups]


@dataclass(frozen=True, slots=True)
class NodeHistory:
    node: NodeView
    records: NodeRecords


@answers(QUERY, "nodeHistory")
async def node_history(ask: Ask) -> NodeHistory:
    """Raises RequestError: 404 for an unknown node, 400 without ``id`` or both of ``cluster`` and ``host``."""
    require_staff(ask)
    nodes, cluster, host = ask.gateway.nodes, ask["cluster"], ask["host"]
    start, end = unix_seconds(ask["from"], "from"), unix_seconds(ask["to"], "to")
    if start > end:
        raise bad_request("from, to: the window ends before it starts")
    if ask["id"] is not None:
        row = await nodes.by_id(numeric_id(ask["id"], "id"))
    elif cluster is None or host is None:
        raise bad_request("id, cluster, host: either the id of the node, or its cluster and its host are required")
    else:
        row = await nodes.by_name(cluster, host)
    if row is None:
        raise not_found("there is no such node")
    return NodeHistory(NodeView(row, with_meta=True), await nodes.records(row.id, start, end))


# getters of the types' fields


def _metadata(view: NodeView) -> orjson.Fragment:
    return orjson.Fragment(view.row.meta_data) if view.with_meta and view.row.meta_data else EMPTY


def _health(view: NodeView) -> orjson.Fragment:
    return orjson.Fragment(view.row.health_data) if view.with_meta and view.row.health_data else EMPTY


TABLES: Tables = {
    "Node": {
        "id": lambda view: str(view.row.id),
        "hostname": attrgetter("row.hostname"),
        "cluster": attrgetter("row.cluster"),
        "subCluster": attrgetter("row.subcluster"),
        "jobsRunning": attrgetter("row.jobs_running"),
        "cpusAllocated": attrgetter("row.cpus_allocated"),
        "memoryAllocated": attrgetter("row.memory_allocated"),
        "gpusAllocated": attrgetter("row.gpus_allocated"),
        "schedulerState": attrgetter("row.node_state"),
        "healthState": attrgetter("row.health_state"),
        "metaData": _metadata,
        "healthData": _health,
    },
    "NodeStates": {"state": lambda item: item[0], "count": lambda item: item[1]},
    "NodeStatesTimed": {"state": attrgetter("state"), "counts": attrgetter("counts"), "times": attrgetter("times")},
    "NodeHistory": {"node": attrgetter("node"), "states": attrgetter("records.states"), "health": attrgetter("records.health")},
    "NodeStateRecord": {
        "time": attrgetter("time_stamp"),
        "schedulerState": attrgetter("node_state"),
        "states": lambda row: orjson.Fragment(row.states),
        "jobsRunning": attrgetter("jobs_running"),
        "cpusAllocated": attrgetter("cpus_allocated"),
        "memoryAllocated": attrgetter("memory_allocated"),
        "gpusAllocated": attrgetter("gpus_allocated"),
    },
    "NodeHealthRecord": {"time": attrgetter("time_stamp"), "healthState": attrgetter("health_state")},
    "NodeStateResultList": {"items": attrgetter("items"), "count": lambda page: len(page.items)},
}
