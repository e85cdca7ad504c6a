"""Batches of the NODES stream: the current state of each node, and its history."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.jobstore.rules import Decision
from services.jobstore.sql import one_of, write_rows
from shared.broker.envelope import Recorded, Unreadable
from shared.database.tables import ProjectionTables
from shared.domain.events import NodeReport, NodesReported

CLEANING_STEP_S = 60  # most batches have nothing to delete
NODES_PER_EVENT = 100_000
_REPORTED = ("node_state", "states", "cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running")


def node_id(cluster: str, hostname: str) -> int:
    """The same for ever, and below 2^53."""
    digest = hashlib.blake2b(f"{cluster}\0{hostname}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 12


class NodesApplier:
    """Applies node reports to one set of tables. ``unchanged_s`` is how often an unchanged node gets a row of history."""

    def __init__(self, tables: ProjectionTables, *, history_s: float, unchanged_s: int) -> None:
        self._tables = tables
        self._history_s = history_s
        self._unchanged_s = unchanged_s

    async def apply(self, connection: AsyncConnection, batch: Sequence[Recorded | Unreadable]) -> list[Decision]:
        reports = [record for record in batch if isinstance(record, Recorded) and isinstance(record.event, NodesReported)]
        nodes = await self._load(connection, reports)
        stored = set(nodes)
        history: list[dict[str, Any]] = []
        changed: set[int] = set()
        for record in reports:
            assert isinstance(record.event, NodesReported)
            for index, report in enumerate(record.event.nodes):
                changed.add(self._report(nodes, history, record, index, report))
        new = [nodes[id_] for id_ in changed - stored]
        known = [{f"b_{name}": value for name, value in nodes[id_].items()} for id_ in changed & stored]
        await write_rows(connection, insert(self._tables.node), new)
        await write_rows(connection, self._update(), known)
        await write_rows(connection, insert(self._tables.node_state), history)
        await self._forget_history(connection)
        return [Decision("applied") if isinstance(record, Recorded) else Decision("refused", code=record.reason.code) for record in batch]

    async def bury(self, connection: AsyncConnection, record: Recorded | Unreadable, why: str) -> None:
        """Node states are superseded within minutes: what cannot be applied is only logged and counted by the caller."""

    async def _load(self, connection: AsyncConnection, reports: list[Recorded]) -> dict[int, dict[str, Any]]:
        ids = {
            node_id(record.event.cluster, node.hostname)
            for record in reports
            if isinstance(record.event, NodesReported)
            for node in record.event.nodes
        }
        node = self._tables.node
        rows = await connection.execute(select(node).where(one_of(connection, node.c.id, ids)))
        return {row.id: dict(row._mapping) for row in rows}

    def _report(
        self, nodes: dict[int, dict[str, Any]], history: list[dict[str, Any]], record: Recorded, index: int, report: NodeReport
    ) -> int:
        assert isinstance(record.event, NodesReported)
        id_ = node_id(record.event.cluster, report.hostname)
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
            "id": id_,
            "hostname": report.hostname,
            "cluster": record.event.cluster,
            "subcluster": report.sub_cluster,
            "meta_data": before["meta_data"] if before else None,
            "time_stamp": now,
            **values,
            "report_seq": record.sequence,
            "kept_at": now if is_news or before is None else before["kept_at"],
        }
        return id_

    def _update(self) -> Any:
        columns = ("subcluster", "time_stamp", *_REPORTED, "report_seq", "kept_at")
        return (
            update(self._tables.node).where(self._tables.node.c.id == bindparam("b_id")).values({c: bindparam(f"b_{c}") for c in columns})
        )

    async def _forget_history(self, connection: AsyncConnection) -> None:
        """Delete rows older than the history, but the newest of each node.

        Both bounds are taken from the rows and only grow, so neither restarts nor the cut into batches change what is left.
        """
        node, state = self._tables.node.c, self._tables.node_state
        latest = await connection.scalar(select(func.max(node.time_stamp)))
        until = int(((latest or 0) - self._history_s) // CLEANING_STEP_S) * CLEANING_STEP_S
        has_newer = exists().where(node.id == state.c.node_id, node.kept_at > state.c.time_stamp)
        await connection.execute(delete(state).where(state.c.time_stamp < until, has_newer))
