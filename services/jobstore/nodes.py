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
_SHOWN = ("subcluster", *_REPORTED, "health_state", "health_data")  # a change of these gets a new ``changed_seq``
NOT_CHECKED = {"health_state": "failed", "health_data": "{}", "health_kept_at": 0}

_WRITTEN = (*_SHOWN, "kept_at", "health_kept_at", "changed_seq")

Nodes = dict[int, dict[str, Any]]  # rows by id


def node_id(cluster: str, hostname: str) -> int:
    """The same for ever, and below 2^53."""
    digest = hashlib.blake2b(f"{cluster}\0{hostname}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 12


def _numbered(before: dict[str, Any] | None, row: dict[str, Any], sequence: int) -> dict[str, Any]:
    """``row`` with the sequence of its last change: readers that follow changes receive no node that was only reported again."""
    if before is not None and all(row[name] == before[name] for name in _SHOWN):
        sequence = before["changed_seq"]
    return row | {"changed_seq": sequence}


class NodesApplier:
    """Applies reports and checks of nodes to one set of tables. ``unchanged_s`` is how often an unchanged node gets a row of history."""

    def __init__(self, tables: ProjectionTables, *, history_s: float, unchanged_s: int) -> None:
        self._tables = tables
        self._history_s = history_s
        self._unchanged_s = unchanged_s

    async def apply(self, connection: AsyncConnection, batch: Sequence[Recorded | Unreadable]) -> list[Decision]:
        nodes = await self._load(connection, batch)
        states: list[dict[str, Any]] = []
        health: list[dict[str, Any]] = []
        before = dict(nodes)
        for record in batch:
            event = record.event if isinstance(record, Recorded) else None
            if isinstance(record, Recorded) and isinstance(event, NodesReported):
                for index, report in enumerate(event.nodes):
                    self._report(nodes, states, record, event.cluster, index, report)
            elif isinstance(record, Recorded) and isinstance(event, NodesChecked):
                for index, checked in enumerate(event.nodes):
                    self._check(nodes, health, record, event.cluster, index, checked)
        await write_rows(connection, insert(self._tables.node), [row for id_, row in nodes.items() if id_ not in before])
        await self._save_changes(connection, before, nodes)
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

    async def _save_changes(self, connection: AsyncConnection, before: Nodes, nodes: Nodes) -> None:
        """Write stored nodes that differ; those that were only reported again get the time of it, in one statement per report."""
        changed: list[dict[str, Any]] = []
        again: dict[tuple[int, int], list[int]] = {}
        for id_, old in before.items():
            row = nodes[id_]
            if any(row[name] != old[name] for name in _WRITTEN):
                changed.append({f"b_{name}": value for name, value in row.items()})
            elif row["report_seq"] != old["report_seq"]:
                again.setdefault((row["report_seq"], row["time_stamp"]), []).append(id_)
        await write_rows(connection, self._update(), changed)
        node = self._tables.node
        for (sequence, time_stamp), ids in again.items():
            statement = update(node).where(one_of(connection, node.c.id, ids)).values(report_seq=sequence, time_stamp=time_stamp)
            await connection.execute(statement)

    def _report(self, nodes: Nodes, history: list[dict[str, Any]], record: Recorded, cluster: str, index: int, report: NodeReport) -> None:
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
            return  # overtaken by a newer report
        is_news = (
            before is None
            or any(before[name] != values[name] for name in _REPORTED)
            or self._unchanged_s == 0
            or now - before["kept_at"] >= self._unchanged_s
        )
        if is_news:
            history.append({"id": record.sequence * NODES_PER_EVENT + index, "node_id": id_, "time_stamp": now, **values})
        row = {
            **(before or {"id": id_, "hostname": report.hostname, "cluster": cluster, "meta_data": None, **NOT_CHECKED}),
            "subcluster": report.sub_cluster,
            "time_stamp": now,
            **values,
            "report_seq": record.sequence,
            "kept_at": now if is_news or before is None else before["kept_at"],
        }
        nodes[id_] = _numbered(before, row, record.sequence)

    def _check(self, nodes: Nodes, history: list[dict[str, Any]], record: Recorded, cluster: str, index: int, checked: NodeHealth) -> None:
        """Ignores a node that was never reported."""
        id_ = node_id(cluster, checked.hostname)
        now = int(record.time)
        before = nodes.get(id_)
        if before is None or now < before["health_kept_at"]:
            return
        is_news = (
            not before["health_kept_at"]
            or before["health_state"] != checked.health
            or self._unchanged_s == 0
            or now - before["health_kept_at"] >= self._unchanged_s
        )
        if is_news:
            history.append(
                {"id": record.sequence * NODES_PER_EVENT + index, "node_id": id_, "time_stamp": now, "health_state": checked.health}
            )
        # A node that is down is not asked for metrics.
        was_measured = checked.degraded or checked.missing or (checked.health == "full" and before["node_state"] != "down")
        findings = {"degraded": checked.degraded, "missing": checked.missing} if was_measured else {}
        row = {
            **before,
            "health_state": checked.health,
            "health_data": orjson.dumps(findings).decode(),
            "health_kept_at": now if is_news else before["health_kept_at"],
        }
        nodes[id_] = _numbered(before, row, record.sequence)

    def _update(self) -> Any:
        columns = ("report_seq", "time_stamp", *_WRITTEN)
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
