"""The services of metric data of one gateway."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.metrics.archived import ArchiveReader
from services.gateway.metrics.jobs import JobMetrics
from services.gateway.metrics.settings import SeriesSettings
from shared.domain.clusters import Cluster
from shared.metricdata import MetricsSettings, open_source


@dataclass(frozen=True, slots=True)
class MetricServices:
    settings: SeriesSettings
    jobs: JobMetrics


@asynccontextmanager
async def metric_services(
    source: MetricsSettings,
    settings: SeriesSettings,
    archive: ArchiveReader,
    clusters: Callable[[], Mapping[str, Cluster]],
    clock: Callable[[], float],
) -> AsyncIterator[MetricServices]:
    """``clusters`` gives the definitions as last read, ``clock`` Unix time."""
    async with open_source(source) as store:
        jobs = JobMetrics(archive, store, clusters, clock, settings.cache_mb)
        try:
            yield MetricServices(settings, jobs)
        finally:
            await jobs.close()
