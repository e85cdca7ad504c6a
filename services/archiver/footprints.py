"""Footprint, energy and advice of running jobs, computed in regular rounds and published as events.

Footprint and energy are computed as for the archive, over the time from the job's start to shortly before the round. Jobs of one
cluster are loaded one after the other, which leaves the store's remaining request slots to the jobs to be archived.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeGuard

import orjson
import structlog

from services.archiver.failures import describe
from services.archiver.jobs import JobReader
from services.archiver.polling import ClusterPoller
from services.archiver.prometheus import ArchiverNumbers
from services.archiver.running_advice import RunningAdvice
from services.archiver.schedule import RunningJob, Schedule
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.clusters import Cluster, Metric
from shared.domain.events import JobAdvised, JobMeasurement, JobsMeasured
from shared.errors import Unavailable
from shared.metricdata import MetricSource, OnlyErrors, Results, SourceRefused, request_until, results_of

log = structlog.get_logger()

SOURCE = "/archiver"
JOBS_PER_EVENT = 100
NUMBERS_PER_EVENT = 10_000  # at most about 400 kB; a broker accepts 1 MiB by default
MAX_MISSES = 3
SETTLING_S = 120  # the newest samples may have arrived from some cores only, and the store refuses to combine such series
MIN_DEADLINE_S = 30.0  # per cluster and round


@dataclass(slots=True)
class _Round:
    """A round over the running jobs of a cluster. ``at`` is the end of the measured time, Unix seconds. ``metrics`` are the
    effective metrics by subcluster.

    ``misses`` counts consecutive jobs for which the store did not answer. A single job may be too large for the store;
    several in a row mean that the store is unavailable. ``sample_misses`` counts the same for the samples that advice needs: after
    several in a row they are not requested any more, since waiting for each would take the time in which the values are measured.
    """

    cluster: Cluster
    at: int
    metrics: Mapping[str, Sequence[Metric]]
    misses: int = 0
    last_miss: Unavailable | None = None
    is_answered: bool = False
    sample_misses: int = 0

    def answered(self) -> None:
        self.misses, self.is_answered = 0, True

    def missed(self, error: Unavailable) -> None:
        """Raises ``error`` when the store, not the job, is at fault."""
        self.misses, self.last_miss = self.misses + 1, error
        if self.misses >= MAX_MISSES:
            raise error

    @property
    def has_samples(self) -> bool:
        return self.sample_misses < MAX_MISSES

    def finish(self) -> None:
        """Raises Unavailable if the store did not answer for any job."""
        if self.last_miss is not None and not self.is_answered:
            raise self.last_miss


class _Advice(Enum):
    """The outcome of evaluating the advice rules for a job in one round."""

    DONE, FAILED, LEFT_OUT = range(3)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of measuring a job; both events are None if nothing changed. A job without values stays due, since they may be late."""

    job: RunningJob
    measurement: JobMeasurement | None
    advised: JobAdvised | None
    advice: _Advice
    has_values: bool = True


class RunningFootprints:
    """Publishes JobsMeasured for jobs that have run longer than ``from_s`` and whose values changed, and JobAdvised for those of which
    other rules hold than before: at most one per job and round. Rounds begin every ``interval_s``; Schedule chooses their jobs.

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
        advice: RunningAdvice | None = None,
        *,
        interval_s: float,
        from_s: float,
        settling_s: float = SETTLING_S,
    ) -> None:
        self._reader = reader
        self._advice = advice
        self._settling_s = settling_s
        self._source = source
        self._publisher = publisher
        self._numbers = numbers
        self._interval_s = interval_s
        self._from_s = from_s
        self._schedules: dict[str, Schedule] = {}  # by cluster
        self._rules = advice.rules if advice is not None else None
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
        round_ = _Round(cluster, int(number * self._interval_s - self._settling_s), metrics)
        schedule = self._schedule_of(cluster.name)
        jobs = schedule.due(await self._reader.running(cluster.name, int(round_.at - self._from_s)), round_.at)
        size = max(1, min(JOBS_PER_EVENT, NUMBERS_PER_EVENT // (2 * len(cluster.metric_config))))
        parts = [jobs[first : first + size] for first in range(0, len(jobs), size)]
        reached = self._reached.get(cluster.name, 0)
        ends_at = time.monotonic() + self._left_s(number)
        for part in sorted(parts, key=lambda part: part[0].id <= reached):
            if round_.is_answered and time.monotonic() >= ends_at:
                log.info("footprints_unfinished", cluster=cluster.name, jobs=len(jobs))
                return
            self._reached[cluster.name] = part[-1].id
            rows = await self._reader.still_running([job.id for job in part])
            outcomes = [outcome for row in rows if (outcome := await self._outcome(round_, schedule, row)) is not None]
            await self._publish(cluster, f"{cluster.name}:{self._interval_s:g}:{number}", part, outcomes)
            for outcome in outcomes:
                _note(schedule, outcome, round_.at)
        self._reached.pop(cluster.name, None)
        round_.finish()

    async def _publish(self, cluster: Cluster, occasion: str, part: Sequence[RunningJob], outcomes: Sequence[_Outcome]) -> None:
        now = datetime.now(UTC)
        advised = [outcome.advised for outcome in outcomes if outcome.advised is not None]
        envelopes = [Envelope(one, f"advised:{occasion}:{one.id}", SOURCE, now) for one in advised]
        if measured := [outcome.measurement for outcome in outcomes if outcome.measurement is not None]:
            # The id names the jobs instead of counting parts: replicas may measure different ones, if one started lately.
            ids = hashlib.blake2b(",".join(str(job.id) for job in part).encode(), digest_size=16).hexdigest()
            envelopes.append(Envelope(JobsMeasured(cluster=cluster.name, jobs=measured), f"footprints:{occasion}:{ids}", SOURCE, now))
        if envelopes:
            await self._publisher.publish(envelopes)

    def _schedule_of(self, cluster: str) -> Schedule:
        """All jobs are due after the rules have changed."""
        if self._advice is not None and (rules := self._advice.rules) is not self._rules:
            self._rules = rules
            for schedule in self._schedules.values():
                schedule.forget()
        return self._schedules.setdefault(cluster, Schedule(self._interval_s))

    def _left_s(self, number: int) -> float:
        """Time left in the interval ``number``; the full length if it is not the current interval."""
        left_s = (number + 1) * self._interval_s - time.time()
        return left_s if 0 < left_s <= self._interval_s else self._interval_s

    async def _outcome(self, round_: _Round, schedule: Schedule, row: Mapping[str, Any]) -> _Outcome | None:
        """None if the job was not measured. Raises Unavailable when the store is unavailable."""
        job = RunningJob(int(row["id"]), int(row["start_time"]))
        try:
            results = await self._results(round_, row)
        except Exception as e:  # noqa: BLE001 - one job's failure must not stop the others
            _log_failure("job_not_measured", row, e)
            self._numbers.footprint("failed")
            if _is_unanswered(e):
                round_.missed(e)
            return None
        if results is None:
            self._numbers.footprint("nothing")
            return _Outcome(job, None, None, _Advice.DONE)
        measurement, has_values = self._measurement(row, results), bool(results.statistics)
        if not round_.has_samples or not schedule.may_advise(job.id, round_.at):
            return _Outcome(job, measurement, None, _Advice.LEFT_OUT, has_values)
        return _Outcome(job, measurement, *await self._advised(round_, row, results), has_values)

    async def _advised(self, round_: _Round, row: Mapping[str, Any], results: Results) -> tuple[JobAdvised | None, _Advice]:
        """A failure costs the advice of this round, not the values."""
        if self._advice is None:
            return None, _Advice.DONE
        try:
            advised = await self._advice.changed(row, round_.cluster, results, at=round_.at)
        except Exception as e:  # noqa: BLE001 - see above
            _log_failure("job_not_advised", row, e)
            if _is_unanswered(e):
                round_.sample_misses += 1
            return None, _Advice.FAILED
        round_.sample_misses = 0
        return advised, _Advice.DONE

    def _measurement(self, row: Mapping[str, Any], results: Results) -> JobMeasurement | None:
        """None when the values are unchanged."""
        if not (results.footprint or results.energy_footprint):
            self._numbers.footprint("nothing")
            return None
        if _is_unchanged(row, results):
            self._numbers.footprint("unchanged")
            return None
        self._numbers.footprint("measured")
        return JobMeasurement(id=row["id"], footprint=results.footprint, energy=results.energy, energy_footprint=results.energy_footprint)

    async def _results(self, round_: _Round, row: Mapping[str, Any]) -> Results | None:
        """None when the subcluster has no metric with a footprint or energy, and none of a rule."""
        metrics = round_.metrics.get(row["subcluster"], ())
        request = request_until(round_.at, row, round_.cluster, metrics, self._advice.rules.metrics if self._advice is not None else ())
        if not request.metrics:
            return None
        loaded = await self._source.load(request)
        round_.answered()
        return await asyncio.to_thread(results_of, loaded.data, metrics, num_nodes=row["num_nodes"], duration_s=request.duration)


def _note(schedule: Schedule, outcome: _Outcome, at: int) -> None:
    if not outcome.has_values:
        return
    schedule.measured(outcome.job, at)
    match outcome.advice:
        case _Advice.DONE:
            schedule.advised(outcome.job.id)
        case _Advice.FAILED:
            schedule.advice_failed(outcome.job.id, at)
        case _Advice.LEFT_OUT:
            schedule.advice_left_out(outcome.job.id, at)


def _is_unanswered(error: Exception) -> TypeGuard[Unavailable]:
    return isinstance(error, Unavailable) and not isinstance(error, OnlyErrors)


def _log_failure(name: str, row: Mapping[str, Any], error: Exception) -> None:
    """With a traceback unless the failure is that of the store."""
    is_known = isinstance(error, Unavailable | SourceRefused)
    (log.debug if is_known else log.warning)(name, job=row["id"], why=describe(error), exc_info=None if is_known else error)


def _is_unchanged(row: Mapping[str, Any], results: Results) -> bool:
    return bool(
        row["energy"] == results.energy
        and orjson.loads(row["footprint"] or "{}") == results.footprint
        and orjson.loads(row["energy_footprint"] or "{}") == results.energy_footprint
    )
