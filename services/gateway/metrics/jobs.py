"""The metric data of one job: from the metric store until it is archived, then from the archive."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

import structlog

from services.gateway.errors import RequestError, bad_request
from services.gateway.metrics.archived import ArchiveReader, Texts
from services.gateway.metrics.cache import Cache
from services.gateway.metrics.model import NamedMetric
from services.gateway.metrics.selection import MetricSelection, completed, rendered
from services.gateway.metrics.stored import is_as_stored, stored_metric
from services.gateway.metrics.tails import Tail, cut, tails
from services.gateway.reading.jobs import shown_duration
from services.gateway.reading.model import StoredJob
from shared.archive import metric_data, stored_scopes
from shared.domain.clusters import Cluster
from shared.domain.values import ARCHIVED, MONITORING_DISABLED, MONITORING_OPEN, JobState
from shared.metricdata import JobData, JobRequest, MetricData, MetricSource, SourceRefused
from shared.metricdata.request import resources_of

log = structlog.get_logger()

RUNNING_LIFETIME_S = 120.0
ARCHIVED_LIFETIME_S = 5 * 3600.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DataVersion:
    """A cache key for values derived from a job's metric data, and how long they may be cached."""

    key: Hashable
    lifetime_s: float


class JobMetrics:
    """``source`` is None at a site without a metric store. ``clock`` returns Unix time."""

    def __init__(
        self,
        archive: ArchiveReader,
        source: MetricSource | None,
        clusters: Callable[[], Mapping[str, Cluster]],
        clock: Callable[[], float],
        cache_mb: float,
    ) -> None:
        self.archive = archive
        self.source = source
        self._clusters = clusters
        self._clock = clock
        self._cache: Cache[Sequence[NamedMetric]] = Cache(int(cache_mb * MIB), lambda found: sum(one.size for one in found))

    def comes_from_store(self, job: StoredJob) -> bool:
        """Whether the job is monitored, and is running or not archived yet."""
        if self.source is None or job.monitoring_status == MONITORING_DISABLED:
            return False
        return is_running(job) or job.monitoring_status == MONITORING_OPEN

    async def of(self, job: StoredJob, wanted: MetricSelection) -> Sequence[NamedMetric]:
        """Empty for a job without metric data: not monitored, not archived, or at a site without a metric store.

        Raises RequestError when the archive cannot be read or the store refuses the query, Unavailable when the store is down.
        """
        from_store = self.comes_from_store(job)
        if wanted.metrics == () or (from_store and wanted.scopes == ()):
            return []
        version = await self.version(job)
        if version is None:
            return []
        return await self._cache.get((version.key, wanted), version.lifetime_s, lambda: self._load(job, wanted, from_store))

    async def version(self, job: StoredJob) -> DataVersion | None:
        """Changes whenever the job's metric data do. None if the job has none. Raises RequestError."""
        identity = job.id, job.cluster, job.job_id, job.start_time
        if self.comes_from_store(job):
            return DataVersion((*identity, "store", job.job_state, job.duration), RUNNING_LIFETIME_S)
        if job.monitoring_status == ARCHIVED:
            return DataVersion((*identity, "archive", await self.archive.version(job)), ARCHIVED_LIFETIME_S)
        return None

    async def _load(self, job: StoredJob, wanted: MetricSelection, from_store: bool) -> Sequence[NamedMetric]:
        if not from_store:
            return await self.archive.texts(job, wanted.metrics, lambda texts: _archived(texts, wanted))
        if wanted.since_s:
            return await self._load_tails(job, wanted)
        data = await self.stored(job, wanted)
        return await self.archive.in_thread(_prepared, data, wanted)

    async def _load_tails(self, job: StoredJob, wanted: MetricSelection) -> Sequence[NamedMetric]:
        """Only the new samples are read from the store."""
        metrics = self._cluster(job).metrics_on(job.subcluster)
        chosen = [metric for metric in metrics if wanted.metrics is None or metric.name in wanted.metrics]
        found: dict[str, list[NamedMetric]] = {metric.name: [] for metric in chosen}
        for tail, together in tails(chosen, wanted.since_s, self.duration(job), wanted.points).items():
            data = await self.stored(job, replace(wanted, metrics=tuple(metric.name for metric in together)), tail.first_s)
            for one in await self.archive.in_thread(_prepared_tail, data, wanted, tail):
                found[one.name].append(one)
        return [one for some in found.values() for one in some]

    def _cluster(self, job: StoredJob) -> Cluster:
        """Raises RequestError."""
        cluster = self._clusters().get(job.cluster)
        if cluster is None:
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, f"the cluster {job.cluster} of job {job.id} is no longer configured")
        return cluster

    async def stored(self, job: StoredJob, wanted: MetricSelection, first_s: int = 0) -> JobData:
        """Load from the metric store, unprocessed, from ``first_s`` after the start on. Partial errors are logged, the rest is returned."""
        assert self.source is not None
        request = JobRequest(
            cluster=self._cluster(job),
            subcluster=job.subcluster,
            start=job.start_time + first_s,
            duration=max(self.duration(job) - first_s, 0),
            resources=resources_of(job.resources),
            num_acc=job.num_acc or 0,
            scopes=wanted.source_scopes,
            metrics=None if wanted.metrics is None else frozenset(wanted.metrics),
        )
        try:
            loaded = await self.source.load(request)
        except SourceRefused as e:
            raise bad_request(f"the metric data of job {job.id} cannot be loaded: {e}") from e
        if loaded.problems:
            log.warning("metric_data_incomplete", job=job.id, problems=len(loaded.problems), first=loaded.problems[0])
        return loaded.data

    def duration(self, job: StoredJob) -> int:
        """In seconds. A running job's duration ends now."""
        return shown_duration(job, self._clock())

    async def close(self) -> None:
        await self._cache.close()


def is_running(job: StoredJob) -> bool:
    return job.job_state == JobState.RUNNING


def _archived(texts: Texts, wanted: MetricSelection) -> Sequence[NamedMetric]:
    """In the archive's order. Metrics that are answered exactly as stored skip the conversion to arrays."""
    found: list[NamedMetric] = []
    for name, text in texts.items():
        stored = stored_scopes(text)
        chosen = {scope: metric for scope, metric in stored.items() if scope in (wanted.scopes or ())}
        if not chosen or wanted.with_stored_scopes:
            chosen = stored
        if wanted.since_s:
            found += _tail(name, {scope: metric_data(metric) for scope, metric in chosen.items()}, wanted)
        elif is_as_stored(name, chosen, wanted):
            found += [stored_metric(name, scope, metric, wanted) for scope, metric in chosen.items() if metric.series]
        else:
            found += _prepared({name: {scope: metric_data(metric) for scope, metric in chosen.items()}}, wanted)
    return found


def _prepared(data: JobData, wanted: MetricSelection) -> Sequence[NamedMetric]:
    return rendered(completed(data, wanted), wanted)


def _prepared_tail(data: JobData, wanted: MetricSelection, tail: Tail) -> Sequence[NamedMetric]:
    """``data`` begin with the tail."""
    return rendered(completed(data, wanted, tail.size), wanted, tail.first_s)


def _tail(name: str, scopes: Mapping[str, MetricData], wanted: MetricSelection) -> Sequence[NamedMetric]:
    """Of whole series. All scopes of a metric have the same timestep."""
    samples = max((series.data.size for metric in scopes.values() for series in metric.series), default=0)
    timestep = next((metric.timestep for metric in scopes.values()), 1)
    tail = Tail.of(wanted.since_s, samples, timestep, wanted.points)
    return _prepared_tail({name: {scope: cut(metric, tail) for scope, metric in scopes.items()}}, wanted, tail)
