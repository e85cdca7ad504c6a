"""The numbers of a wall screen: sums over a cluster, without the name of any user, project, job or node."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from services.gateway.errors import not_found
from services.gateway.metrics.cache import Cache
from services.gateway.metrics.nodes import NodeMetrics
from services.gateway.people.identity import ADMIN, User
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.model import JobFilter, TextMatch
from services.gateway.reading.nodes import NodeFilter, NodeQueries
from services.gateway.reading.statistics import StatisticsQuery
from shared.domain.clusters import Cluster
from shared.errors import Unavailable
from shared.metricdata.results import PREFIX_FACTOR

HISTORY_S = 4 * 3600
FRESH_S = 5.0  # screens that ask within this time get the same numbers
MAX_CLUSTERS = 100  # whose numbers are cached

_EVERYBODY = User("", frozenset({ADMIN}))  # only sums over the jobs that it sees are returned


@dataclass(frozen=True, slots=True)
class WallPart:
    """The reported nodes of a subcluster: their number by scheduler state, what is allocated, and what they have."""

    name: str
    states: Mapping[str, int]
    cores_allocated: int
    cores: int
    accelerators_allocated: int
    accelerators: int


@dataclass(frozen=True, slots=True)
class StateCourse:
    """The number of nodes in a state over time; parallel lists."""

    state: str
    times: Sequence[int]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class WallNumbers:
    """``time`` is when they were read. ``power_kw`` is None without a metric in watts, or while its values cannot be read."""

    time: int
    running_jobs: int
    users: int
    parts: Sequence[WallPart]
    history: Sequence[StateCourse]
    power_kw: float | None


class Walls:
    def __init__(
        self,
        jobs: JobQueries,
        nodes: NodeQueries,
        metrics: NodeMetrics,
        clusters: Callable[[], Mapping[str, Cluster]],
        clock: Callable[[], float],
    ) -> None:
        self._jobs = jobs
        self._nodes = nodes
        self._metrics = metrics
        self._clusters = clusters
        self._clock = clock
        self._cache: Cache[WallNumbers] = Cache(MAX_CLUSTERS, lambda _: 1)

    async def numbers(self, name: str) -> WallNumbers:
        """At most ``FRESH_S`` old. Raises RequestError (404) for an unknown cluster, Unavailable."""
        cluster = self._clusters().get(name)
        if cluster is None:
            raise not_found(f"there is no cluster {name[:100]!r}")
        return await self._cache.get(name, FRESH_S, lambda: self._read(cluster))

    async def close(self) -> None:
        await self._cache.close()

    async def _read(self, cluster: Cluster) -> WallNumbers:
        now = int(self._clock())
        this = TextMatch.equal(cluster.name)
        asked = StatisticsQuery(frozenset({"total_jobs", "total_users"}))
        running = [JobFilter(cluster=this, states=("running",))]
        (found,) = await self._jobs.statistics(_EVERYBODY, running, asked, now)
        rows = await self._nodes.all([NodeFilter(cluster=this)])
        points = await self._nodes.history([NodeFilter(cluster=this, after=now - HISTORY_S)], "node")
        courses = [(state, list(group)) for state, group in groupby(points, itemgetter(0))]
        return WallNumbers(
            time=now,
            running_jobs=int(found.totals["total_jobs"]),
            users=int(found.totals["total_users"]),
            parts=[_part(cluster, name, list(group)) for name, group in groupby(sorted(rows, key=_SUBCLUSTER), _SUBCLUSTER)],
            history=[StateCourse(state, [time for _, time, _ in group], [nodes for _, _, nodes in group]) for state, group in courses],
            power_kw=await self._power(cluster),
        )

    async def _power(self, cluster: Cluster) -> float | None:
        """The newest values of the first metric in watts, summed over the nodes."""
        metric = next((one for one in cluster.metric_config if one.unit.base == "W"), None)
        if metric is None:
            return None
        try:
            found = await self._metrics.now(cluster.name, [metric.name])
        except Unavailable:
            return None
        values = [value for one in found.metrics for value in one.values]
        return float(sum(values)) * PREFIX_FACTOR.get(metric.unit.prefix, 1.0) / 1000 if values else None


_SUBCLUSTER = attrgetter("subcluster")


def _part(cluster: Cluster, name: str, rows: Sequence[Any]) -> WallPart:
    known = cluster.subcluster(name)
    return WallPart(
        name,
        states=Counter(row.node_state for row in rows),
        cores_allocated=sum(row.cpus_allocated or 0 for row in rows),
        cores=len(rows) * known.sockets_per_node * known.cores_per_socket if known else 0,
        accelerators_allocated=sum(row.gpus_allocated or 0 for row in rows),
        accelerators=len(rows) * len(known.topology.accelerators or ()) if known else 0,
    )
