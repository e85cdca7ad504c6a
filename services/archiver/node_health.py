"""Regular checks whether nodes deliver their metrics, published as events.

The archiver does this because it is the service that talks to the metric store. The store's limit on concurrent requests
keeps the checks from delaying jobs.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.archiver.polling import ClusterPoller
from services.archiver.prometheus import ArchiverNumbers
from shared.backoff import sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.functions import bytewise
from shared.database.tables import tables
from shared.domain.clusters import Cluster
from shared.domain.events import NodeHealth, NodesChecked
from shared.errors import JobtideError, Unavailable
from shared.metricdata import HostHealth, MetricSource

log = structlog.get_logger()

NEW_NODES_POLL_S = 2.0
NODES_PER_EVENT = 200  # and per request
DEADLINE_S = 120.0  # per cluster and round
FIRST_AFTER_S = 30.0  # when a whole site starts, its collectors first have to send samples; the last known health stays until then

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
        self._clusters = clusters
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
            first_after_s=min(FIRST_AFTER_S, interval_s),
        )

    async def _check(self, cluster: Cluster, number: int) -> None:
        """Each part is published on its own, so a later failure does not lose it. Raises JobtideError."""
        await self._check_parts(cluster, await self._parts(cluster), f"node-health:{cluster.name}:{self._interval_s:g}:{number}")

    async def keep_checking_new(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Check nodes shortly after their first report, until ``stop``. Failed checks are left to the next round."""
        tried: set[tuple[str, str]] = set()
        while not await sleep_unless(stop, NEW_NODES_POLL_S):
            tick()
            try:
                unchecked = await self._unchecked()
            except Unavailable:
                continue
            tried &= unchecked
            for cluster in self._clusters.values():
                hosts = {host for name, host in unchecked - tried if name == cluster.name}
                if hosts and self._source.store_of(cluster.name):
                    await self._check_new(cluster, hosts)
            tried = unchecked

    async def _check_new(self, cluster: Cluster, hosts: set[str]) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                # With the interval in the id, another check of the same hosts later is a new event.
                number = int(time.time() // self._interval_s)
                prefix = f"node-health-new:{cluster.name}:{self._interval_s:g}:{number}:{min(hosts)}-{max(hosts)}:{len(hosts)}"
                await self._check_parts(cluster, await self._parts(cluster, hosts), prefix)
        except (JobtideError, TimeoutError) as e:
            log.info("new_nodes_unchecked", cluster=cluster.name, nodes=len(hosts), why=str(e))

    async def _unchecked(self) -> set[tuple[str, str]]:
        """Cluster and host of nodes that were reported but never checked."""
        node = tables.node.c
        async with transaction(self._engine) as connection:
            rows = await connection.execute(select(node.cluster, node.hostname).where(node.health_kept_at == 0))
            return {(str(cluster), str(host)) for cluster, host in rows}

    async def _check_parts(self, cluster: Cluster, parts: Sequence[_Part], message_id: str) -> None:
        for index, part in enumerate(parts):
            found: Mapping[str, HostHealth] = {}
            if part.metrics is not None:
                found = await self._source.health(cluster.name, part.hosts, part.metrics)
            nodes = [_node(host, found.get(host, part.otherwise)) for host in part.hosts]
            event = NodesChecked(cluster=cluster.name, nodes=nodes)
            await self._publisher.publish([Envelope(event, f"{message_id}:{index}", "/archiver", datetime.now(UTC))])

    async def _parts(self, cluster: Cluster, only: Collection[str] | None = None) -> list[_Part]:
        """All reported nodes that the cluster still has, or those of ``only``, in a fixed order."""
        node = tables.node.c
        query = (
            select(node.hostname, node.subcluster, node.node_state).where(node.cluster == cluster.name).order_by(bytewise(node.hostname))
        )
        async with transaction(self._engine) as connection:
            stored = (await connection.execute(query)).all()
        rows = [row for row in stored if (only is None or row.hostname in only) and cluster.subcluster_of(row.hostname) is not None]
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
