"""Wires the parts that answer queries for metric data."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.gateway.metrics.analysis import Analysis
from services.gateway.metrics.archived import ArchiveReader
from services.gateway.metrics.bands import Bands
from services.gateway.metrics.hosts import Hosts
from services.gateway.metrics.jobs import JobMetrics
from services.gateway.metrics.nodes import NodeMetrics
from services.gateway.metrics.settings import SeriesSettings
from services.gateway.metrics.statistics import JobStatistics
from shared.domain.clusters import Cluster
from shared.metricdata import MetricsSettings, open_source

ANALYSIS_SHARE = 0.25  # fraction of the cache for roofline points
BANDS_SHARE = 0.125


@dataclass(frozen=True, slots=True)
class MetricServices:
    source: MetricsSettings
    settings: SeriesSettings
    jobs: JobMetrics
    statistics: JobStatistics
    analysis: Analysis
    nodes: NodeMetrics
    bands: Bands


@asynccontextmanager
async def metric_services(
    source: MetricsSettings,
    settings: SeriesSettings,
    hosts: Hosts,
    archive: ArchiveReader,
    clusters: Callable[[], Mapping[str, Cluster]],
    clock: Callable[[], float],
) -> AsyncIterator[MetricServices]:
    """``clusters`` returns the current definitions, ``clock`` Unix time."""
    async with open_source(source) as store, AsyncExitStack() as caches:
        jobs = JobMetrics(archive, store, clusters, clock, settings.cache_mb * (1 - ANALYSIS_SHARE - BANDS_SHARE))
        caches.push_async_callback(jobs.close)
        statistics = JobStatistics(jobs, loads=settings.loads, timeout_s=settings.analysis_timeout_s)
        analysis = Analysis(jobs, statistics, settings.cache_mb * ANALYSIS_SHARE)
        caches.push_async_callback(analysis.close)
        bands = Bands(jobs, statistics, settings.cache_mb * BANDS_SHARE)
        caches.push_async_callback(bands.close)
        yield MetricServices(source, settings, jobs, statistics, analysis, NodeMetrics(store, clusters, hosts, clock), bands)
