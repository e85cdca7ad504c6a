"""Footprint and energy of running jobs, computed at regular intervals and published as events.

The rules are those of the archive, applied to the time from the job's start to shortly before the interval. Jobs of one
cluster are loaded one after the other, which leaves the store's remaining request slots to the jobs to be archived.
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
from services.archiver.polling import ClusterPoller
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.clusters import Cluster, Metric
from shared.domain.events import JobMeasurement, JobsMeasured
from shared.errors import Unavailable
from shared.metricdata import MetricSource, NothingButErrors, Results, SourceRefused, request_until, results_of

log = structlog.get_logger()

JOBS_PER_EVENT = 100
NUMBERS_PER_EVENT = 10_000  # at most about 400 kB; a broker accepts 1 MiB by default
MAX_MISSES = 3
SETTLING_S = 120  # the newest samples may have arrived from some cores only, and the store refuses to combine such series
MIN_DEADLINE_S = 30.0  # per cluster and round


@dataclass(slots=True)
class _Round:
    """One round over the jobs of a cluster. ``at`` is the end of the measured time, Unix seconds; ``metrics`` are the
    effective ones of each subcluster.

    ``misses`` counts consecutive jobs for which the store did not answer. A single job may be too large for the store;
    several in a row mean that the store is unavailable.
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
        """Raises ``error`` when the store, not the job, is at fault."""
        self.misses, self.last_miss = self.misses + 1, error
        if self.misses >= MAX_MISSES:
            raise error

    def finish(self) -> None:
        """Raises Unavailable when the store answered for no job."""
        if self.last_miss is not None and not self.is_answered:
            raise self.last_miss


class RunningFootprints:
    """Publishes JobsMeasured every ``interval_s`` for jobs that have run longer than ``from_s`` and whose values changed.

    Replicas use the same message ids, so only the first publication of each counts. A round stops at the beginning of the
    next interval, because a slow replica would overwrite newer values; the next round continues where it stopped.
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
        self._reached: dict[str, int] = {}  # by cluster: the last job of an unfinished round; the next round continues after it
        self.poller = ClusterPoller(
            clusters,
            source,
            self._measure,
            numbers.footprint_rounds,
            failure="footprints_unknown",
            interval_s=interval_s,
            deadline_s=max(interval_s, MIN_DEADLINE_S),
        )

    async def _measure(self, cluster: Cluster, number: int) -> None:
        """Each part is published on its own, so a later failure does not lose it. Raises JobtideError."""
        metrics = {one.name: cluster.metrics_on(one.name) for one in cluster.sub_clusters}
        round_ = _Round(cluster, int(number * self._interval_s) - SETTLING_S, metrics)
        ids = await self._reader.running(cluster.name, int(round_.at - self._from_s))
        size = max(1, min(JOBS_PER_EVENT, NUMBERS_PER_EVENT // (2 * len(cluster.metric_config))))
        parts = [ids[first : first + size] for first in range(0, len(ids), size)]
        reached = self._reached.get(cluster.name, 0)
        ends_at = time.monotonic() + self._left_s(number)
        for part in sorted(parts, key=lambda part: part[0] <= reached):
            if round_.is_answered and time.monotonic() >= ends_at:
                log.info("footprints_unfinished", cluster=cluster.name, jobs=len(ids))
                return
            self._reached[cluster.name] = part[-1]
            found = [one for row in await self._reader.still_running(part) if (one := await self._changed(round_, row)) is not None]
            if found:
                # The id names the jobs instead of counting parts: a job that ends between the reads of two replicas would shift the parts.
                message_id = f"footprints:{cluster.name}:{self._interval_s:g}:{number}:{part[0]}-{part[-1]}"
                event = JobsMeasured(cluster=cluster.name, jobs=found)
                await self._publisher.publish([Envelope(event, message_id, "/archiver", datetime.now(UTC))])
        self._reached.pop(cluster.name, None)
        round_.finish()

    def _left_s(self, number: int) -> float:
        """Time left of the interval ``number``; the full length when that interval is not the current one."""
        left_s = (number + 1) * self._interval_s - time.time()
        return left_s if 0 < left_s <= self._interval_s else self._interval_s

    async def _changed(self, round_: _Round, row: Mapping[str, Any]) -> JobMeasurement | None:
        """None when the values are unchanged or cannot be computed. Raises Unavailable when the store is unavailable."""
        try:
            results = await self._results(round_, row)
        except Exception as e:  # noqa: BLE001 - one job's failure must not stop the others
            is_known = isinstance(e, Unavailable | SourceRefused)
            (log.debug if is_known else log.warning)("job_not_measured", job=row["id"], why=describe(e), exc_info=None if is_known else e)
            self._numbers.footprint("failed")
            if isinstance(e, Unavailable) and not isinstance(e, NothingButErrors):
                round_.missed(e)
            return None
        if results is None or not (results.footprint or results.energy_footprint):
            self._numbers.footprint("nothing")
            return None
        if _is_unchanged(row, results):
            self._numbers.footprint("unchanged")
            return None
        self._numbers.footprint("measured")
        return JobMeasurement(id=row["id"], footprint=results.footprint, energy=results.energy, energy_footprint=results.energy_footprint)

    async def _results(self, round_: _Round, row: Mapping[str, Any]) -> Results | None:
        """None when the subcluster has no metric with a footprint or energy."""
        metrics = round_.metrics.get(row["subcluster"], ())
        request = request_until(round_.at, row, round_.cluster, metrics)
        if not request.metrics:
            return None
        loaded = await self._source.load(request)
        round_.answered()
        return await asyncio.to_thread(results_of, loaded.data, metrics, num_nodes=row["num_nodes"], duration_s=request.duration)


def _is_unchanged(row: Mapping[str, Any], results: Results) -> bool:
    return bool(
        row["energy"] == results.energy
        and orjson.loads(row["footprint"] or "{}") == results.footprint
        and orjson.loads(row["energy_footprint"] or "{}") == results.energy_footprint
    )
