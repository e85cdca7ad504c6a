"""Applies batches of the stream NODES: the current state and health of each node, and their history."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, exists, func, insert, select, update

from services.jobstore.restoring import Restorer
from services.jobstore.rules import Decision
from services.jobstore.sql import update_rows, write_rows
from shared.broker.streams import NODES
from shared.database.sql import one_of
from shared.database.tables import ProjectionTables
from shared.domain.events import NodeHealth, NodeReport, NodesChecked, NodesReported, RowsRestored
from shared.domain.recorded import Recorded, Unreadable

MAX_BATCH_BYTES = 1024 * 1024  # reports consist of many small objects, so decoding them takes more memory than other events
CLEANING_STEP_S = 60  # of event time between two deletions, because most batches have nothing to delete
MAX_FORGOTTEN = 20_000  # deleted rows per table and batch; more than the reports of a batch usually add
NODES_PER_EVENT = 100_000
_REPORTED = ("node_state", "states", "cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running")
_SHOWN = ("subcluster", *_REPORTED, "health_state", "health_data")  # a change of these gets a new ``changed_seq``
NOT_CHECKED = {"health_state": "failed", "health_data": "{}", "health_kept_at": 0}

_WRITTEN = (*_SHOWN, "kept_at", "health_kept_at", "changed_seq")

Nodes = dict[int, dict[str, Any]]  # rows by id


def node_id(cluster: str, hostname: str) -> int:
    """A stable id for the node, below 2^53."""
    digest = hashlib.blake2b(f"{cluster}\0{hostname}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 12


def _time_of(record: Recorded) -> int:
    """The time by which reports are ordered and history expires, Unix seconds. Never later than the log's own time.

    Otherwise a report from a publisher with a fast clock would hide the following ones, and expire the history of all nodes.
    """
    return int(min(record.time, record.stored_at))


def _numbered(before: dict[str, Any] | None, row: dict[str, Any], sequence: int) -> dict[str, Any]:
    """``row`` with the sequence of its last change: clients that follow changes do not receive nodes that were merely reported again."""
    if before is not None and all(row[name] == before[name] for name in _SHOWN):
        sequence = before["changed_seq"]
    return row | {"changed_seq": sequence}


class NodesApplier:
    """The applier of NODES, for one set of tables. An unchanged node gets a row of history every ``unchanged_s``."""

    def __init__(self, tables: ProjectionTables, *, history_s: float, unchanged_s: int) -> None:
        self._tables = tables
        self._restorer = Restorer(tables)
        self._history_s = history_s
        self._unchanged_s = unchanged_s

    def apply(self, connection: Connection, batch: Sequence[Recorded | Unreadable]) -> list[Decision]:
        reports: list[Recorded | Unreadable] = []
        for record in batch:
            if isinstance(record, Recorded) and isinstance(record.event, RowsRestored):
                self._apply_reports(connection, reports)
                self._restorer.rows(connection, record.event, NODES)
                reports = []
            else:
                reports.append(record)
        self._apply_reports(connection, reports)
        self._forget_history(connection)
        return [Decision("applied") if isinstance(record, Recorded) else Decision("refused", code=record.reason.code) for record in batch]

    def _apply_reports(self, connection: Connection, batch: Sequence[Recorded | Unreadable]) -> None:
        if not batch:
            return
        nodes = self._load(connection, batch)
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
        write_rows(connection, insert(self._tables.node), [row for id_, row in nodes.items() if id_ not in before])
        self._save_changes(connection, before, nodes)
        write_rows(connection, insert(self._tables.node_state), states)
        write_rows(connection, insert(self._tables.node_health), health)

    def bury(self, connection: Connection, record: Recorded | Unreadable, why: str) -> None:
        """Does nothing: node states are superseded within minutes, so the caller's log line and counter suffice."""

    def _load(self, connection: Connection, batch: Sequence[Recorded | Unreadable]) -> Nodes:
        ids = {
            node_id(record.event.cluster, node.hostname)
            for record in batch
            if isinstance(record, Recorded) and isinstance(record.event, NodesReported | NodesChecked)
            for node in record.event.nodes
        }
        node = self._tables.node
        rows = connection.execute(select(node).where(one_of(node.c.id, ids)))
        return {row.id: dict(row._mapping) for row in rows}

    def _save_changes(self, connection: Connection, before: Nodes, nodes: Nodes) -> None:
        """Write changed nodes. For nodes that were merely reported again, update the time, in one statement per report."""
        changed: list[dict[str, Any]] = []
        again: dict[tuple[int, int], list[int]] = {}
        for id_, old in before.items():
            row = nodes[id_]
            if any(row[name] != old[name] for name in _WRITTEN):
                changed.append({name: row[name] for name in ("id", "report_seq", "time_stamp", *_WRITTEN)})
            elif row["report_seq"] != old["report_seq"]:
                again.setdefault((row["report_seq"], row["time_stamp"]), []).append(id_)
        update_rows(connection, self._tables.node, changed)
        node = self._tables.node
        for (sequence, time_stamp), ids in again.items():
            statement = update(node).where(one_of(node.c.id, ids)).values(report_seq=sequence, time_stamp=time_stamp)
            connection.execute(statement)

    def _report(self, nodes: Nodes, history: list[dict[str, Any]], record: Recorded, cluster: str, index: int, report: NodeReport) -> None:
        id_ = node_id(cluster, report.hostname)
        now = _time_of(record)
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
            return  # a newer report has been applied
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
        """Apply a health check. A node that was never reported is ignored."""
        id_ = node_id(cluster, checked.hostname)
        now = _time_of(record)
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
        # A node that is down is not expected to deliver metrics.
        was_measured = checked.degraded or checked.missing or (checked.health == "full" and before["node_state"] != "down")
        findings = {"degraded": checked.degraded, "missing": checked.missing} if was_measured else {}
        row = {
            **before,
            "health_state": checked.health,
            "health_data": orjson.dumps(findings).decode(),
            "health_kept_at": now if is_news else before["health_kept_at"],
        }
        nodes[id_] = _numbered(before, row, record.sequence)

    def _forget_history(self, connection: Connection) -> None:
        """Delete rows older than the history, except the newest of each node.

        Both bounds are taken from the rows and only increase, so the same rows are deleted regardless of restarts and batch
        boundaries. A batch deletes at most MAX_FORGOTTEN rows of a table, the oldest first, so that its statements finish within
        the database's time limit even after the history was shortened; later batches delete the rest.
        """
        node = self._tables.node.c
        latest = connection.scalar(select(func.max(node.time_stamp)))
        until = int(((latest or 0) - self._history_s) // CLEANING_STEP_S) * CLEANING_STEP_S
        for table, newest in ((self._tables.node_state, node.kept_at), (self._tables.node_health, node.health_kept_at)):
            row = table.c
            has_newer = exists().where(node.id == row.node_id, newest > row.time_stamp)
            old = select(row.id).where(row.time_stamp < until, has_newer).order_by(row.time_stamp, row.id).limit(MAX_FORGOTTEN)
            if ids := connection.scalars(old).all():
                connection.execute(delete(table).where(one_of(row.id, ids)))
