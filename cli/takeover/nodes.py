"""The newest state of each node as reports."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.takeover.database import Row
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import NodeReport, NodesReported

NODES_PER_REPORT = 2000


@dataclass(frozen=True, slots=True)
class NodeTally:
    new: int = 0
    unchanged: int = 0
    last_sequence: int = 0


async def bring_nodes(rows: Sequence[Row], site: AsyncEngine | None, publisher: Publisher | None, source: str) -> NodeTally:
    """Publish the states that are newer than the ones here. Raises Unavailable."""
    newest: dict[tuple[str, str], int] = {}
    if site is not None:
        node = tables.node.c
        async with transaction(site) as connection:
            for cluster, hostname, time in await connection.execute(select(node.cluster, node.hostname, node.time_stamp)):
                newest[cluster, hostname] = time
    news = [row for row in rows if row["time_stamp"] > newest.get((row["cluster"], row["hostname"]), -1)]
    envelopes = []
    for (cluster, time), group in itertools.groupby(news, key=lambda row: (row["cluster"], row["time_stamp"])):
        reports = list(group)
        for first in range(0, len(reports), NODES_PER_REPORT):
            event = NodesReported(cluster=cluster, nodes=[_report(row) for row in reports[first : first + NODES_PER_REPORT]])
            message_id = f"takeover:nodes:{cluster}:{time}:{first}:{len(reports)}"
            envelopes.append(Envelope(event, message_id, source, datetime.fromtimestamp(time, UTC)))
    sequences = await publisher.publish(envelopes) if publisher is not None else []
    return NodeTally(len(news), len(rows) - len(news), max(sequences, default=0))


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
