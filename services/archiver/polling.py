"""Regular requests to the metric store: once per interval for each cluster that has metric data."""

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

MAX_PAUSE_S = 900.0
CLUSTERS_POLL_S = 0.2

PollOutcome = Literal["done", "unanswered"]


@dataclass(slots=True)
class _Pause:
    """Until when a cluster is skipped because its store did not answer. Each failure lengthens the pause."""

    backoff: Backoff
    until: float = field(default=0.0)


class ClusterPoller:
    """Calls ``poll`` with each cluster and the number of the interval, which is the same in all replicas.

    ``poll`` raises JobtideError when the store or the broker does not answer, and must end within ``deadline_s``. Failures
    are logged under the event name ``failure``. ``count`` is called with the outcome of each poll.
    """

    def __init__(
        self,
        clusters: ClusterDirectory,
        source: MetricSource,
        poll: Callable[[Cluster, int], Awaitable[None]],
        count: Callable[[PollOutcome], None],
        *,
        failure: str,
        interval_s: float,
        deadline_s: float,
        first_after_s: float = 0.0,
    ) -> None:
        """``first_after_s`` delays the first poll, which is at the start otherwise, to the beginning of an interval."""
        self._clusters = clusters
        self._source = source
        self._poll = poll
        self._count = count
        self._failure = failure
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._first_after_s = first_after_s
        self._pauses: dict[str, _Pause] = {}

    @property
    def max_round_s(self) -> float:
        return self._interval_s + self._deadline_s

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Poll until ``stop``: a first time, then at the beginning of each interval."""
        if self._first_after_s:
            earliest = time.time() + self._first_after_s
            if await sleep_unless(stop, -(-earliest // self._interval_s) * self._interval_s - time.time()):
                return
        while not self._clusters.is_read:
            tick()
            if await sleep_unless(stop, CLUSTERS_POLL_S):
                return
        while not stop.is_set():
            tick()
            number = int(time.time() // self._interval_s)
            await self.round(number)
            await sleep_unless(stop, max(0.0, (number + 1) * self._interval_s - time.time()))

    async def round(self, number: int) -> None:
        """Poll all clusters with metric data concurrently. ``number`` identifies the interval."""
        clusters = [cluster for cluster in self._clusters.values() if self._source.store_of(cluster.name)]
        self._pauses = {cluster.name: self._pauses.get(cluster.name) or self._new_pause() for cluster in clusters}
        async with asyncio.TaskGroup() as group:
            for cluster in clusters:
                group.create_task(self._poll_unless_paused(cluster, number))

    def _new_pause(self) -> _Pause:
        return _Pause(Backoff(first_s=self._interval_s, max_s=max(self._interval_s, MAX_PAUSE_S)))

    async def _poll_unless_paused(self, cluster: Cluster, number: int) -> None:
        pause, now = self._pauses[cluster.name], time.monotonic()
        if now < pause.until:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._poll(cluster, number)
        except (JobtideError, TimeoutError) as e:
            pause_s = pause.backoff.next_s()
            pause.until = now + pause_s
            self._count("unanswered")
            why = str(e) or f"not finished within {self._deadline_s:g} s"
            log.warning(self._failure, cluster=cluster.name, why=why, pause_s=round(pause_s))
        else:
            pause.backoff.reset()
            self._count("done")
