"""Footprint and energy of jobs that run: the metric store is asked again and again, and an event says what it found.

The same rules as for the archive, over the time from a job's start to shortly before the interval. Jobs of one cluster
are asked for one after the other, so that jobs to be archived find the store's other requests free.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from services.archiver.failures import describe
from services.archiver.jobs import JobReader
from services.archiver.numbers import ArchiverNumbers
from services.archiver.turns import ClusterTurns
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.clusters import Cluster, Metric
from shared.domain.events import JobMeasurement, JobsMeasured
from shared.errors import Unavailable
from shared.metricdata import MetricSource, NothingButErrors, Results, SourceRefused, request_until, results_of

log = structlog.get_logger()

JOBS_PER_EVENT = 100
NUMBERS_PER_EVENT = 10_000  # at most some 400 kB; a broker takes 1 MiB unless told otherwise
MOST_MISSES = 3
SETTLING_S = 120  # of the newest samples some cores may have one, others not yet: the store refuses to combine these
SHORTEST_DEADLINE_S = 30.0  # of one cluster's turn


@dataclass(slots=True)
class _Turn:
    """``at`` is what counts as now, Unix seconds; ``metrics`` are the effective ones of each subcluster.

    ``misses`` counts jobs in a row for which the store did not answer: one may be too much for it, several are a store that is away.
    """

    cluster: Cluster
    at: int
    metrics: Mapping[str, Sequence[Metric]]
    misses: int = 0
    last_miss: Unavailable | None = None
    is_answered: bool = False

    def answered(self) -> None:
        self.misses, self.is_answered = 0, True

    def missed(self, error: Unavailable) -> None:
        """Raises it when it is not the job's fault."""
        self.misses, self.last_miss = self.misses + 1, error
        if self.misses >= MOST_MISSES:
            raise error

    def finish(self) -> None:
        """Raises Unavailable when no job had an answer."""
        if self.last_miss is not None and not self.is_answered:
            raise self.last_miss


class RunningFootprints:
    """Publishes JobsMeasured once in ``interval_s``, about jobs that have run for more than ``from_s`` and differ from their rows.

    Replicas agree on the message ids, so the first one's are kept. A turn begins nothing more when the next interval begins,
    or a slow replica would put back what a fast one has found since; the next turn goes on where it stopped.
    """

    def __init__(
        self,
        reader: JobReader,
        clusters: ClusterDirectory,
        source: MetricSource,
        publisher: Publisher,
        numbers: ArchiverNumbers,
        *,
        interval_s: float,
        from_s: float,
    ) -> None:
        self._reader = reader
        self._source = source
        self._publisher = publisher
        self._numbers = numbers
        self._interval_s = interval_s
        self._from_s = from_s
        self._reached: dict[str, int] = {}  # by cluster, the last job of a turn that came to no end: the next one begins behind it
        self.turns = ClusterTurns(
            clusters,
            source,
            self._measure,
            numbers.footprint_turns,
            failure="footprints_unknown",
            interval_s=interval_s,
            deadline_s=max(interval_s, SHORTEST_DEADLINE_S),
        )

    async def _measure(self, cluster: Cluster, number: int) -> None:
        """Part by part: what one part found stands, whatever becomes of the next. Raises JobtideError."""
        metrics = {one.name: cluster.metrics_on(one.name) for one in cluster.sub_clusters}
        turn = _Turn(cluster, int(number * self._interval_s) - SETTLING_S, metrics)
        ids = await self._reader.running(cluster.name, int(turn.at - self._from_s))
        size = max(1, min(JOBS_PER_EVENT, NUMBERS_PER_EVENT // (2 * len(cluster.metric_config))))
        parts = [ids[first : first + size] for first in range(0, len(ids), size)]
        reached = self._reached.get(cluster.name, 0)
        ends_at = time.monotonic() + self._left_s(number)
        for part in sorted(parts, key=lambda part: part[0] <= reached):
            if turn.is_answered and time.monotonic() >= ends_at:
                log.info("footprints_unfinished", cluster=cluster.name, jobs=len(ids))
                return
            self._reached[cluster.name] = part[-1]
            found = [one for row in await self._reader.still_running(part) if (one := await self._news(turn, row)) is not None]
            if found:
                # Named by its jobs, not counted through: when one ends between two replicas' looks, no other is lost for it.
                message_id = f"footprints:{cluster.name}:{self._interval_s:g}:{number}:{part[0]}-{part[-1]}"
                event = JobsMeasured(cluster=cluster.name, jobs=found)
                await self._publisher.publish([Envelope(event, message_id, "/archiver", datetime.now(UTC))])
        self._reached.pop(cluster.name, None)
        turn.finish()

    def _left_s(self, number: int) -> float:
        """Of the interval ``number``; the whole of it when it is not now."""
        left_s = (number + 1) * self._interval_s - time.time()
        return left_s if 0 < left_s <= self._interval_s else self._interval_s

    async def _news(self, turn: _Turn, row: Mapping[str, Any]) -> JobMeasurement | None:
        """None when there is nothing new of this job, or nothing to be had; raises Unavailable when the store is away."""
        try:
            results = await self._results(turn, row)
        except Exception as e:  # noqa: BLE001 - whatever it is, it concerns this job first
            is_known = isinstance(e, Unavailable | SourceRefused)
            (log.debug if is_known else log.warning)("job_not_measured", job=row["id"], why=describe(e), exc_info=None if is_known else e)
            self._numbers.footprint("failed")
            if isinstance(e, Unavailable) and not isinstance(e, NothingButErrors):
                turn.missed(e)
            return None
        if results is None or not (results.footprint or results.energy_footprint):
            self._numbers.footprint("nothing")
            return None
        if _stands_in(row, results):
            self._numbers.footprint("unchanged")
            return None
        self._numbers.footprint("measured")
        return JobMeasurement(id=row["id"], footprint=results.footprint, energy=results.energy, energy_footprint=results.energy_footprint)

    async def _results(self, turn: _Turn, row: Mapping[str, Any]) -> Results | None:
        """None when no metric counts on the job's subcluster."""
        metrics = turn.metrics.get(row["subcluster"], ())
        request = request_until(turn.at, row, turn.cluster, metrics)
        if not request.metrics:
            return None
        loaded = await self._source.load(request)
        turn.answered()
        return await asyncio.to_thread(results_of, loaded.data, metrics, num_nodes=row["num_nodes"], duration_s=request.duration)


def _stands_in(row: Mapping[str, Any], results: Results) -> bool:
    return bool(
        row["energy"] == results.energy
        and orjson.loads(row["footprint"] or "{}") == results.footprint
        and orjson.loads(row["energy_footprint"] or "{}") == results.energy_footprint
    )
