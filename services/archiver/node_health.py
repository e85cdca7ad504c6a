"""Regular checks whether nodes deliver their metrics, published as events.

The archiver does this because it is the service that talks to the metric store. The store's limit on concurrent requests
keeps the checks from delaying jobs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.archiver.numbers import ArchiverNumbers
from services.archiver.polling import ClusterPoller
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.clusters import Cluster
from shared.domain.events import NodeHealth, NodesChecked
from shared.metricdata import HostHealth, MetricSource

NODES_PER_EVENT = 200  # and per request
DEADLINE_S = 120.0  # per cluster and round

_DOWN = HostHealth("full")  # a node that is down is not expected to deliver metrics
_NOT_FOUND = HostHealth("failed")


@dataclass(frozen=True, slots=True)
class _Part:
    """Hosts of one request. ``otherwise`` is the health of hosts without an answer; with ``metrics`` None, of all hosts."""

    hosts: Sequence[str]
    metrics: Sequence[str] | None
    otherwise: HostHealth


class NodeHealthChecks:
    """Publishes NodesChecked every ``interval_s``. Replicas use the same message ids, so only the first publication counts."""

    def __init__(
        self,
        engine: AsyncEngine,
        clusters: ClusterDirectory,
        source: MetricSource,
        publisher: Publisher,
        numbers: ArchiverNumbers,
        *,
        interval_s: float,
    ) -> None:
        self._engine = engine
        self._source = source
        self._publisher = publisher
        self._interval_s = interval_s
        self.poller = ClusterPoller(
            clusters,
            source,
            self._check,
            numbers.node_checks,
            failure="node_health_unknown",
            interval_s=interval_s,
            deadline_s=DEADLINE_S,
        )

    async def _check(self, cluster: Cluster, number: int) -> None:
        """Each part is published on its own, so a later failure does not lose it. Raises JobtideError."""
        for index, part in enumerate(await self._parts(cluster)):
            found: Mapping[str, HostHealth] = {}
            if part.metrics is not None:
                found = await self._source.health(cluster.name, part.hosts, part.metrics)
            nodes = [_node(host, found.get(host, part.otherwise)) for host in part.hosts]
            message_id = f"node-health:{cluster.name}:{self._interval_s:g}:{number}:{index}"
            event = NodesChecked(cluster=cluster.name, nodes=nodes)
            await self._publisher.publish([Envelope(event, message_id, "/archiver", datetime.now(UTC))])

    async def _parts(self, cluster: Cluster) -> list[_Part]:
        """All reported nodes, in a fixed order."""
        node = tables.node.c
        query = select(node.hostname, node.subcluster, node.node_state).where(node.cluster == cluster.name).order_by(node.hostname)
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        down = [row.hostname for row in rows if row.node_state == "down"]
        up: dict[str, list[str]] = {}
        for row in rows:
            if row.node_state != "down":
                up.setdefault(row.subcluster, []).append(row.hostname)
        parts = [*_parts_of(down, None, _DOWN)]
        for name, hosts in sorted(up.items()):
            metrics = [metric.name for metric in cluster.metrics_on(name)] if cluster.subcluster(name) is not None else None
            parts += _parts_of(hosts, metrics, _NOT_FOUND)
        return parts


def _parts_of(hosts: Sequence[str], metrics: Sequence[str] | None, otherwise: HostHealth) -> Iterator[_Part]:
    for first in range(0, len(hosts), NODES_PER_EVENT):
        yield _Part(hosts[first : first + NODES_PER_EVENT], metrics, otherwise)


def _node(host: str, health: HostHealth) -> NodeHealth:
    return NodeHealth(hostname=host, health=health.state, missing=list(health.missing), degraded=list(health.degraded))
