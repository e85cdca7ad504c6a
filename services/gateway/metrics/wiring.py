"""Opens everything the gateway needs to answer queries for metric data."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.metrics.analysis import Analysis
from services.gateway.metrics.archived import ArchiveReader
from services.gateway.metrics.hosts import Hosts
from services.gateway.metrics.jobs import JobMetrics
from services.gateway.metrics.nodes import NodeMetrics
from services.gateway.metrics.settings import SeriesSettings
from services.gateway.metrics.statistics import JobStatistics
from shared.domain.clusters import Cluster
from shared.metricdata import MetricsSettings, open_source

ANALYSIS_SHARE = 0.25  # fraction of the cache for roofline points


@dataclass(frozen=True, slots=True)
class MetricServices:
    settings: SeriesSettings
    jobs: JobMetrics
    statistics: JobStatistics
    analysis: Analysis
    nodes: NodeMetrics


@asynccontextmanager
async def metric_services(
    source: MetricsSettings,
    settings: SeriesSettings,
    engine: AsyncEngine,
    archive: ArchiveReader,
    clusters: Callable[[], Mapping[str, Cluster]],
    clock: Callable[[], float],
) -> AsyncIterator[MetricServices]:
    """``clusters`` returns the current definitions, ``clock`` Unix time."""
    async with open_source(source) as store:
        jobs = JobMetrics(archive, store, clusters, clock, settings.cache_mb * (1 - ANALYSIS_SHARE))
        analysis: Analysis | None = None
        try:
            statistics = JobStatistics(jobs, loads=settings.loads, timeout_s=settings.analysis_timeout_s)
            analysis = Analysis(jobs, statistics, settings.cache_mb * ANALYSIS_SHARE)
            yield MetricServices(settings, jobs, statistics, analysis, NodeMetrics(store, clusters, Hosts(engine)))
        finally:
            await jobs.close()
            if analysis is not None:
                await analysis.close()
