"""Batches of the NODES stream: the current state and health of each node, and their history."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.jobstore.rules import Decision
from services.jobstore.sql import one_of, write_rows
from shared.database.tables import ProjectionTables
from shared.domain.events import NodeHealth, NodeReport, NodesChecked, NodesReported
from shared.domain.recorded import Recorded, Unreadable

CLEANING_STEP_S = 60  # most batches have nothing to delete
NODES_PER_EVENT = 100_000
_REPORTED = ("node_state", "states", "cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running")
NOT_CHECKED = {"health_state": "failed", "health_data": "{}", "health_kept_at": 0}

Nodes = dict[int, dict[str, Any]]  # rows by id


def node_id(cluster: str, hostname: str) -> int:
    """The same for ever, and below 2^53."""
    digest = hashlib.blake2b(f"{cluster}\0{hostname}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 12


class NodesApplier:
    """Applies reports and checks of nodes to one set of tables. ``unchanged_s`` is how often an unchanged node gets a row of history."""

    def __init__(self, tables: ProjectionTables, *, history_s: float, unchanged_s: int) -> None:
        self._tables = tables
        self._history_s = history_s
        self._unchanged_s = unchanged_s

    async def apply(self, connection: AsyncConnection, batch: Sequence[Recorded | Unreadable]) -> list[Decision]:
        nodes = await self._load(connection, batch)
        stored = set(nodes)
        states: list[dict[str, Any]] = []
        health: list[dict[str, Any]] = []
        changed: set[int] = set()
        for record in batch:
            event = record.event if isinstance(record, Recorded) else None
            if isinstance(record, Recorded) and isinstance(event, NodesReported):
                changed |= {self._report(nodes, states, record, event.cluster, *entry) for entry in enumerate(event.nodes)}
            elif isinstance(record, Recorded) and isinstance(event, NodesChecked):
                changed |= {self._check(nodes, health, record, event.cluster, *entry) for entry in enumerate(event.nodes)} & nodes.keys()
        new = [nodes[id_] for id_ in changed - stored]
        known = [{f"b_{name}": value for name, value in nodes[id_].items()} for id_ in changed & stored]
        await write_rows(connection, insert(self._tables.node), new)
        await write_rows(connection, self._update(), known)
        await write_rows(connection, insert(self._tables.node_state), states)
        await write_rows(connection, insert(self._tables.node_health), health)
        await self._forget_history(connection)
        return [Decision("applied") if isinstance(record, Recorded) else Decision("refused", code=record.reason.code) for record in batch]

    async def bury(self, connection: AsyncConnection, record: Recorded | Unreadable, why: str) -> None:
        """Node states are superseded within minutes: what cannot be applied is only logged and counted by the caller."""

    async def _load(self, connection: AsyncConnection, batch: Sequence[Recorded | Unreadable]) -> Nodes:
        ids = {
            node_id(record.event.cluster, node.hostname)
            for record in batch
            if isinstance(record, Recorded) and isinstance(record.event, NodesReported | NodesChecked)
            for node in record.event.nodes
        }
        node = self._tables.node
        rows = await connection.execute(select(node).where(one_of(connection, node.c.id, ids)))
        return {row.id: dict(row._mapping) for row in rows}

    def _report(self, nodes: Nodes, history: list[dict[str, Any]], record: Recorded, cluster: str, index: int, report: NodeReport) -> int:
        id_ = node_id(cluster, report.hostname)
        now = int(record.time)
        values = {
            "node_state": report.state,
            "states": orjson.dumps(report.states).decode(),
            "cpus_allocated": report.cpus_allocated,
            "memory_allocated": report.memory_allocated,
            "gpus_allocated": report.gpus_allocated,
            "jobs_running": report.jobs_running,
        }
        before = nodes.get(id_)
        if before is not None and now < before["time_stamp"]:
            return id_  # overtaken by a newer report
        is_news = (
            before is None
            or any(before[name] != values[name] for name in _REPORTED)
            or self._unchanged_s == 0
            or now - before["kept_at"] >= self._unchanged_s
        )
        if is_news:
            history.append({"id": record.sequence * NODES_PER_EVENT + index, "node_id": id_, "time_stamp": now, **values})
        nodes[id_] = {
            **(before or {"id": id_, "hostname": report.hostname, "cluster": cluster, "meta_data": None, **NOT_CHECKED}),
            "subcluster": report.sub_cluster,
            "time_stamp": now,
            **values,
            "report_seq": record.sequence,
            "kept_at": now if is_news or before is None else before["kept_at"],
            "changed_seq": record.sequence,
        }
        return id_

    def _check(self, nodes: Nodes, history: list[dict[str, Any]], record: Recorded, cluster: str, index: int, checked: NodeHealth) -> int:
        """A node that no report told of stays unknown."""
        id_ = node_id(cluster, checked.hostname)
        now = int(record.time)
        before = nodes.get(id_)
        if before is None or now < before["health_kept_at"]:
            return id_
        is_news = (
            not before["health_kept_at"]
            or before["health_state"] != checked.health
            or self._unchanged_s == 0
            or now - before["health_kept_at"] >= self._unchanged_s
        )
        if is_news:
            row = {"id": record.sequence * NODES_PER_EVENT + index, "node_id": id_, "time_stamp": now, "health_state": checked.health}
            history.append(row)
        # A node that is down is not asked for metrics.
        was_measured = checked.degraded or checked.missing or (checked.health == "full" and before["node_state"] != "down")
        findings = {"degraded": checked.degraded, "missing": checked.missing} if was_measured else {}
        nodes[id_] = {
            **before,
            "health_state": checked.health,
            "health_data": orjson.dumps(findings).decode(),
            "health_kept_at": now if is_news else before["health_kept_at"],
            "changed_seq": record.sequence,
        }
        return id_

    def _update(self) -> Any:
        columns = ("subcluster", "time_stamp", *_REPORTED, "report_seq", "kept_at", *NOT_CHECKED, "changed_seq")
        return (
            update(self._tables.node).where(self._tables.node.c.id == bindparam("b_id")).values({c: bindparam(f"b_{c}") for c in columns})
        )

    async def _forget_history(self, connection: AsyncConnection) -> None:
        """Delete rows older than the history, but the newest of each node.

        Both bounds are taken from the rows and only grow, so neither restarts nor the cut into batches change what is left.
        """
        node, state, health = self._tables.node.c, self._tables.node_state, self._tables.node_health
        latest = await connection.scalar(select(func.max(node.time_stamp)))
        until = int(((latest or 0) - self._history_s) // CLEANING_STEP_S) * CLEANING_STEP_S
        has_newer = exists().where(node.id == state.c.node_id, node.kept_at > state.c.time_stamp)
        await connection.execute(delete(state).where(state.c.time_stamp < until, has_newer))
        has_newer = exists().where(node.id == health.c.node_id, node.health_kept_at > health.c.time_stamp)
        await connection.execute(delete(health).where(health.c.time_stamp < until, has_newer))
