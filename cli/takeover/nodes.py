"""States and health of nodes and their history, as reports and checks in the order of their times."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.takeover.database import Database, Row, as_text
from services.jobstore.settings import JobstoreSettings
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import NodeHealth, NodeReport, NodesChecked, NodesReported, encode

NODES_PER_REPORT = 2000
REPORTS_AT_ONCE = 200
DAY_S = 86_400
_COMPARED = ("node_state", "cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running", "health_state")
_HEALTH = ("full", "partial", "failed")

Node = tuple[str, str]  # cluster, host name


@dataclass(slots=True)
class NodeTally:
    """``nodes`` with newer states than here, the ``states`` brought of them, and nodes without newer states.

    ``last_sequence`` is that of the last event in NODES.
    """

    nodes: int = 0
    states: int = 0
    unchanged: int = 0
    last_sequence: int = 0


async def bring_nodes(
    database: Database,
    site: AsyncEngine | None,
    publisher: Publisher | None,
    source: str,
    settings: JobstoreSettings,
    show: Callable[[int], None] = lambda _: None,
) -> NodeTally:
    """Publish the states that are newer than the ones here, as far back as the site keeps them. Raises Unavailable.

    Jobstore applies reports and checks of a node only in the order of their times, so a repeated run continues where the last one ended.
    """
    here = {} if site is None else await _times_here(site)
    newest = await asyncio.to_thread(database.node_states)
    news = {_node(row): row["time_stamp"] for row in newest if row["time_stamp"] > here.get(_node(row), -1)}
    tally = NodeTally(nodes=len(news), unchanged=len(newest) - len(news))
    if not news:
        return tally
    latest = max([row["time_stamp"] for row in newest] + list(here.values()))
    since = max(latest - int(settings.node_history_days * DAY_S), min(here.get(node, -1) for node in news))
    long_silent = [row for row in newest if _node(row) in news and row["time_stamp"] <= since]
    history = (row for row in database.node_history(since) if row["time_stamp"] > here.get(_node(row), -1))
    rows = _changes(itertools.chain(long_silent, history), news, settings.node_unchanged_s)
    reports = _reports(rows, source)
    while envelopes := await asyncio.to_thread(lambda: list(itertools.islice(reports, REPORTS_AT_ONCE))):
        tally.states += sum(len(one.event.nodes) for one in envelopes if isinstance(one.event, NodesReported))
        if publisher is not None:
            tally.last_sequence = max([tally.last_sequence, *await publisher.publish(envelopes)])
        show(tally.states)
    return tally


async def _times_here(site: AsyncEngine) -> dict[Node, int]:
    node = tables.node.c
    async with transaction(site) as connection:
        rows = await connection.execute(select(node.cluster, node.hostname, node.time_stamp))
        return {(row[0], row[1]): row[2] for row in rows}


def _changes(rows: Iterator[Row], newest: dict[Node, int], unchanged_s: int) -> Iterator[Row]:
    """Without the rows of which jobstore would keep nothing: cc-backend stores every report, also of unchanged nodes."""
    kept: dict[Node, tuple[tuple[object, ...], int]] = {}
    for row in rows:
        node, values, time = _node(row), tuple(row[name] for name in _COMPARED), row["time_stamp"]
        before = kept.get(node)
        if before is None or before[0] != values or time - before[1] >= unchanged_s or time >= newest.get(node, time):
            kept[node] = values, time
            yield row


def _reports(rows: Iterator[Row], source: str) -> Iterator[Envelope]:
    for time, group in itertools.groupby(rows, key=lambda row: row["time_stamp"]):
        of_time = sorted(group, key=lambda row: (row["cluster"], row["hostname"]))
        for cluster, same_cluster in itertools.groupby(of_time, key=lambda row: row["cluster"]):
            nodes = list(same_cluster)
            for first in range(0, len(nodes), NODES_PER_REPORT):
                part = nodes[first : first + NODES_PER_REPORT]
                yield _envelope(NodesReported(cluster=cluster, nodes=[_report(row) for row in part]), time, source)
                yield _envelope(NodesChecked(cluster=cluster, nodes=[_health(row) for row in part]), time, source)


def _envelope(event: NodesReported | NodesChecked, time: int, source: str) -> Envelope:
    digest = hashlib.blake2b(encode(event), digest_size=12).hexdigest()
    kind = "nodes" if isinstance(event, NodesReported) else "health"
    return Envelope(event, f"takeover:{kind}:{time}:{digest}", source, datetime.fromtimestamp(time, UTC))


def _node(row: Row) -> Node:
    return row["cluster"], row["hostname"]


def _report(row: Row) -> NodeReport:
    return NodeReport(
        hostname=row["hostname"],
        sub_cluster=row["subcluster"],
        state=row["node_state"],
        states=[row["node_state"]],
        cpus_allocated=row["cpus_allocated"],
        memory_allocated=row["memory_allocated"],
        gpus_allocated=row["gpus_allocated"],
        jobs_running=row["jobs_running"],
    )


def _health(row: Row) -> NodeHealth:
    found = _findings(as_text(row["health_metrics"]))
    health = row["health_state"] if row["health_state"] in _HEALTH else "failed"
    return NodeHealth(hostname=row["hostname"], health=health, missing=_names(found.get("missing")), degraded=_names(found.get("degraded")))


def _findings(text: str | None) -> dict[str, Any]:
    """The metrics that were missing or stale. There is no text for nodes that could not be checked."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
