"""What the metric store is asked again and again, once in an interval, for every cluster that has metric data."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from shared.backoff import Backoff, sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.domain.clusters import Cluster
from shared.errors import JobtideError
from shared.metricdata import MetricSource

log = structlog.get_logger()

LONGEST_REST_S = 900.0
CLUSTERS_READ_EVERY_S = 0.2

TurnOutcome = Literal["done", "unanswered"]


@dataclass(slots=True)
class _Rest:
    """A cluster whose store did not answer is left alone until then, each time longer."""

    pause: Backoff
    until: float = field(default=0.0)


class ClusterTurns:
    """Calls ``ask`` with each cluster and the number of the interval, which is the same in all replicas.

    ``ask`` raises JobtideError when the store or the broker does not answer, and has ``deadline_s``; this is logged as
    ``failure``. ``count`` is told how each turn of a cluster ended.
    """

    def __init__(
        self,
        clusters: ClusterDirectory,
        source: MetricSource,
        ask: Callable[[Cluster, int], Awaitable[None]],
        count: Callable[[TurnOutcome], None],
        *,
        failure: str,
        interval_s: float,
        deadline_s: float,
    ) -> None:
        self._clusters = clusters
        self._source = source
        self._ask = ask
        self._count = count
        self._failure = failure
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._rests: dict[str, _Rest] = {}

    @property
    def longest_s(self) -> float:
        return self._interval_s + self._deadline_s

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """The first turn is at once, the others at the beginning of an interval."""
        while not self._clusters.is_read:
            tick()
            if await sleep_unless(stop, CLUSTERS_READ_EVERY_S):
                return
        while not stop.is_set():
            tick()
            number = int(time.time() // self._interval_s)
            await self.turn(number)
            await sleep_unless(stop, max(0.0, (number + 1) * self._interval_s - time.time()))

    async def turn(self, number: int) -> None:
        """Every cluster that has metric data, one beside the other. ``number`` is that of the interval."""
        clusters = [cluster for cluster in self._clusters.values() if self._source.covers(cluster.name)]
        self._rests = {cluster.name: self._rests.get(cluster.name) or self._rest() for cluster in clusters}
        async with asyncio.TaskGroup() as group:
            for cluster in clusters:
                group.create_task(self._ask_unless_it_rests(cluster, number))

    def _rest(self) -> _Rest:
        return _Rest(Backoff(first_s=self._interval_s, most_s=max(self._interval_s, LONGEST_REST_S)))

    async def _ask_unless_it_rests(self, cluster: Cluster, number: int) -> None:
        rest, now = self._rests[cluster.name], time.monotonic()
        if now < rest.until:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._ask(cluster, number)
        except (JobtideError, TimeoutError) as e:
            pause_s = rest.pause.next_s()
            rest.until = now + pause_s
            self._count("unanswered")
            log.warning(self._failure, cluster=cluster.name, why=str(e) or f"not done in {self._deadline_s:g} s", rest_s=round(pause_s))
        else:
            rest.pause.reset()
            self._count("done")
