"""Metric data of jobs, their statistics, and analyses over many jobs."""

from collections.abc import Sequence
from dataclasses import fields

from services.gateway.errors import bad_request
from services.gateway.graphql.arguments import job_filters
from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.jobs import no_job, visible_job
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.metrics import JobStatisticsView
from services.gateway.metrics.analysis import Footprints, Grid
from services.gateway.metrics.model import NamedMetric
from services.gateway.metrics.selection import MetricSelection
from services.gateway.metrics.statistics import NamedStatistics, named
from services.gateway.reading.jobs import JobsWanted, StoredJob
from services.gateway.reading.model import Order, Slice
from shared.metricdata.model import SCOPE_RANK

MAX_METRICS = 1000
_COLUMNS = [field.name for field in fields(StoredJob) if field.name != "meta_data"]


@answers(QUERY, "jobMetrics")
async def job_metrics(ask: Ask) -> Sequence[NamedMetric]:
    wanted = MetricSelection(
        names(ask["metrics"]),
        scopes(ask["scopes"]),
        ask.site.metrics.settings.resolution(ask["resolution"]),
        with_samples=ask.selects("metric.series.data"),
        with_band=ask.selects("metric.statisticsSeries"),
    )
    return await ask.site.metrics.jobs.of(await _job(ask), wanted)


@answers(QUERY, "jobStats")
async def job_stats(ask: Ask) -> list[NamedStatistics]:
    return await ask.site.metrics.statistics.of(await _job(ask), _each(ask["metrics"]))


@answers(QUERY, "scopedJobStats")
async def scoped_job_stats(ask: Ask) -> Sequence[NamedMetric]:
    return await ask.site.metrics.statistics.of_parts(await _job(ask), ask["metrics"], scopes(ask["scopes"]))


@answers(QUERY, "jobsMetricStats")
async def jobs_metric_stats(ask: Ask) -> list[JobStatisticsView]:
    """The newest jobs up to the limit, oldest start first. Jobs whose data cannot be read are left out."""
    metrics = _each(ask["metrics"])
    services = ask.site.metrics
    keys = await _newest(ask, services.settings.comparison_jobs)
    jobs = await _stored(ask, keys[::-1])
    found = await services.statistics.of_many(jobs, metrics)
    return [JobStatisticsView(job, services.jobs.duration(job), named(found[job.id], metrics)) for job in jobs if job.id in found]


@answers(QUERY, "jobsMetricStatsHasMore")
async def jobs_metric_stats_has_more(ask: Ask) -> bool:
    """Whether more jobs match the filter than jobsMetricStats returns."""
    limit = ask.site.metrics.settings.comparison_jobs
    return len(await _newest(ask, limit + 1)) > limit


@answers(QUERY, "jobsFootprints")
async def jobs_footprints(ask: Ask) -> Footprints:
    services = ask.site.metrics
    return await services.analysis.footprints(await _jobs(ask, services.settings.analysis_jobs), _each(ask["metrics"]))


@answers(QUERY, "rooflineHeatmap")
async def roofline_heatmap(ask: Ask) -> list[list[int]]:
    services = ask.site.metrics
    grid = Grid(ask["rows"], ask["cols"], ask["minX"], ask["minY"], ask["maxX"], ask["maxY"])
    grid.check()
    return await services.analysis.roofline(await _jobs(ask, services.settings.analysis_jobs), grid)


def _each(given: Sequence[str] | None) -> Sequence[str]:
    """Metric names, which may repeat. Raises RequestError (400) when there are too many."""
    if len(given or ()) > MAX_METRICS:
        raise bad_request(f"metrics: more than {MAX_METRICS}")
    return given or ()


def names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(dict.fromkeys(given))


def scopes(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """Raises RequestError (400)."""
    for scope in given or ():
        if scope not in SCOPE_RANK:
            raise bad_request(f"scopes: {scope[:60]!r} is none of {', '.join(SCOPE_RANK)}")
    return names(given)


async def _job(ask: Ask) -> StoredJob:
    """Raises RequestError: 400 for an invalid id, 404 if the user sees no such job."""
    key = await visible_job(ask, ask["id"])
    jobs = await _stored(ask, [key])
    if not jobs:
        raise no_job(key)  # deleted meanwhile
    return jobs[0]


async def _jobs(ask: Ask, limit: int) -> list[StoredJob]:
    """Raises RequestError (400) when more than ``limit`` match."""
    where = job_filters(ask["filter"], ask.site.clock())
    keys = await ask.site.jobs.select(ask.user, where, Order(is_descending=False), Slice(limit + 1))
    if len(keys) > limit:
        raise bad_request(f"too many jobs matched (max: {limit})")
    return await _stored(ask, keys)


async def _newest(ask: Ask, limit: int) -> Sequence[int]:
    """Ids of the matching jobs with the latest start, latest first."""
    where = job_filters(ask["filter"], ask.site.clock())
    return await ask.site.jobs.select(ask.user, where, Order(is_descending=True), Slice(limit))


async def _stored(ask: Ask, keys: Sequence[int]) -> list[StoredJob]:
    found = await ask.site.jobs.jobs(ask.user, keys, JobsWanted(_COLUMNS))
    return [StoredJob(**{name: getattr(row, name) for name in _COLUMNS}, meta_data=None) for row in found.rows]
