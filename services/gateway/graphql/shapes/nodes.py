"""Nodes and their states."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson

from services.gateway.graphql.shape import Tables

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
    "NodeStateResultList": {"items": attrgetter("items"), "count": lambda page: len(page.items)},
}
