"""Whether nodes deliver their metrics: the metric store is asked again and again, and an event says what it found.

The archiver does it because it is the service that talks to the metric store; jobs come first, by the store's own bound
on requests at the same time.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.archiver.numbers import ArchiverNumbers
from shared.backoff import Backoff, sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.clusters import Cluster
from shared.domain.events import NodeHealth, NodesChecked
from shared.errors import JobtideError
from shared.metricdata import HostHealth, MetricSource

log = structlog.get_logger()

NODES_AT_ONCE = 200  # of one request and one event
DEADLINE_S = 120.0  # of one cluster's turn
LONGEST_REST_S = 900.0
CLUSTERS_READ_EVERY_S = 0.2

_DOWN = HostHealth("full")  # nothing is expected of it
_NOT_FOUND = HostHealth("failed")


@dataclass(frozen=True, slots=True)
class _Part:
    """Hosts that are asked about together. ``metrics`` None: nobody is asked, all are as ``otherwise`` says."""

    hosts: Sequence[str]
    metrics: Sequence[str] | None
    otherwise: HostHealth


@dataclass(slots=True)
class _Rest:
    """A cluster whose store did not answer is left alone until then, each time longer."""

    pause: Backoff
    until: float = field(default=0.0)


class NodeHealthChecks:
    """Publishes NodesChecked once in ``interval_s``. Replicas agree on the message ids, so the first one's are kept."""

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
        self._numbers = numbers
        self._interval_s = interval_s
        self._rests: dict[str, _Rest] = {}

    @property
    def longest_turn_s(self) -> float:
        return self._interval_s + DEADLINE_S

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        while not self._clusters.is_read:
            tick()
            if await sleep_unless(stop, CLUSTERS_READ_EVERY_S):
                return
        while not stop.is_set():
            tick()
            number = int(time.time() // self._interval_s)
            await self.check(number)
            await sleep_unless(stop, max(0.0, (number + 1) * self._interval_s - time.time()))

    async def check(self, number: int) -> None:
        """Every cluster that has metric data, one beside the other. ``number`` is that of the interval."""
        clusters = [cluster for cluster in self._clusters.values() if self._source.covers(cluster.name)]
        self._rests = {cluster.name: self._rests.get(cluster.name) or self._rest() for cluster in clusters}
        async with asyncio.TaskGroup() as group:
            for cluster in clusters:
                group.create_task(self._check_unless_it_rests(cluster, number))

    def _rest(self) -> _Rest:
        return _Rest(Backoff(first_s=self._interval_s, most_s=max(self._interval_s, LONGEST_REST_S)))

    async def _check_unless_it_rests(self, cluster: Cluster, number: int) -> None:
        rest, now = self._rests[cluster.name], time.monotonic()
        if now < rest.until:
            return
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._check(cluster, number)
        except (JobtideError, TimeoutError) as e:
            pause_s = rest.pause.next_s()
            rest.until = now + pause_s
            self._numbers.node_checks("unanswered")
            log.warning("node_health_unknown", cluster=cluster.name, why=str(e) or f"not done in {DEADLINE_S:g} s", rest_s=round(pause_s))
        else:
            rest.pause.reset()
            self._numbers.node_checks("done")

    async def _check(self, cluster: Cluster, number: int) -> None:
        """Part by part: what one part found stands, whatever becomes of the next. Raises JobtideError."""
        for index, part in enumerate(await self._parts(cluster)):
            found: Mapping[str, HostHealth] = {}
            if part.metrics is not None:
                found = await self._source.health(cluster.name, part.hosts, part.metrics)
            nodes = [_node(host, found.get(host, part.otherwise)) for host in part.hosts]
            message_id = f"node-health:{cluster.name}:{self._interval_s:g}:{number}:{index}"
            event = NodesChecked(cluster=cluster.name, nodes=nodes)
            await self._publisher.publish([Envelope(event, message_id, "/archiver", datetime.now(UTC))])

    async def _parts(self, cluster: Cluster) -> list[_Part]:
        """All nodes of which a report told, in a fixed order."""
        node = tables.node.c
        query = select(node.hostname, node.subcluster, node.node_state).where(node.cluster == cluster.name).order_by(node.hostname)
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        down = [row.hostname for row in rows if row.node_state == "down"]
        up: dict[str, list[str]] = {}
        for row in rows:
            if row.node_state != "down":
                up.setdefault(row.subcluster, []).append(row.hostname)
        parts = [*_cut(down, None, _DOWN)]
        for name, hosts in sorted(up.items()):
            metrics = [metric.name for metric in cluster.metrics_on(name)] if cluster.subcluster(name) is not None else None
            parts += _cut(hosts, metrics, _NOT_FOUND)
        return parts


def _cut(hosts: Sequence[str], metrics: Sequence[str] | None, otherwise: HostHealth) -> Iterator[_Part]:
    for first in range(0, len(hosts), NODES_AT_ONCE):
        yield _Part(hosts[first : first + NODES_AT_ONCE], metrics, otherwise)


def _node(host: str, health: HostHealth) -> NodeHealth:
    return NodeHealth(hostname=host, health=health.state, missing=list(health.missing), degraded=list(health.degraded))
