"""Metric data of jobs, their statistics, and analyses over many jobs. Samples are JSON text that is copied into the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import orjson

from services.gateway.errors import bad_request
from services.gateway.graphql.arguments import job_filters, numeric_id, points_of, since_of
from services.gateway.graphql.fields.jobs import no_job, visible_id
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Getter, Tables
from services.gateway.metrics.analysis import Footprints, Grid
from services.gateway.metrics.bands import JobBands
from services.gateway.metrics.model import NamedMetric, Numbers, SeriesText
from services.gateway.metrics.resampling import Resolution
from services.gateway.metrics.selection import MetricSelection
from services.gateway.metrics.statistics import NO_STATISTICS, NamedStatistics, named
from services.gateway.reading.model import JobFilter, JobSelection, Order, Slice, StoredJob
from shared.metricdata.model import SCOPE_RANK

_NONE = orjson.Fragment(b"[]")


@dataclass(frozen=True, slots=True)
class JobStatisticsView:
    """``duration`` in seconds; a running job's ends now."""

    job: StoredJob
    duration: int
    statistics: list[NamedStatistics]


MAX_METRICS = 1000
DEFAULT_BAND_POINTS = 64
_COLUMNS = [field.name for field in fields(StoredJob) if field.name != "meta_data"]


@answers(QUERY, "jobMetrics")
async def job_metrics(ask: Ask) -> Sequence[NamedMetric]:
    since = since_of(ask["from"], ask["resolution"])
    wanted = MetricSelection(
        names(ask["metrics"]),
        scopes(ask["scopes"]),
        Resolution() if since else ask.gateway.metrics.settings.resolution(ask["resolution"]),
        points_of(ask["points"], ask["resolution"]),
        since,
        with_samples=ask.selects("metric.series.data"),
        with_band=ask.selects("metric.statisticsSeries"),
    )
    return await ask.gateway.metrics.jobs.of(await _job(ask), wanted)


@answers(QUERY, "jobsMetrics")
async def jobs_metrics(ask: Ask) -> list[JobBands]:
    """In the order of ``ids``. Jobs that the user may not see, and jobs whose data cannot be read, are left out."""
    services = ask.gateway.metrics
    keys = tuple(dict.fromkeys(numeric_id(text, "ids") for text in ask["ids"]))
    points = points_of(ask["points"]) or DEFAULT_BAND_POINTS
    most = services.settings.band_jobs
    if len(keys) > most:
        raise bad_request(f"ids: {len(keys)} jobs, more than {most}")
    if len(keys) * points > most * DEFAULT_BAND_POINTS:
        raise bad_request(f"points: {len(keys)} jobs may have at most {most * DEFAULT_BAND_POINTS // len(keys)} points each")
    metrics = names(_each(ask["metrics"])) if ask["metrics"] is not None else None
    visible = set(await ask.gateway.jobs.select(ask.user, [JobFilter(ids=keys)], Order(), Slice(len(keys)))) if keys else set()
    return await services.bands.of(await _stored(ask, [key for key in keys if key in visible]), metrics, points)


@answers(QUERY, "jobStats")
async def job_stats(ask: Ask) -> list[NamedStatistics]:
    return await ask.gateway.metrics.statistics.of(await _job(ask), _each(ask["metrics"]))


@answers(QUERY, "scopedJobStats")
async def scoped_job_stats(ask: Ask) -> Sequence[NamedMetric]:
    return await ask.gateway.metrics.statistics.of_parts(await _job(ask), ask["metrics"], scopes(ask["scopes"]))


@answers(QUERY, "jobsMetricStats")
async def jobs_metric_stats(ask: Ask) -> list[JobStatisticsView]:
    """The newest jobs up to the limit, oldest start first. Jobs whose data cannot be read are left out."""
    metrics = _each(ask["metrics"])
    services = ask.gateway.metrics
    keys = await _newest(ask, services.settings.comparison_jobs)
    jobs = await _stored(ask, keys[::-1])
    found = await services.statistics.of_many(jobs, metrics)
    return [JobStatisticsView(job, services.jobs.duration(job), named(found[job.id], metrics)) for job in jobs if job.id in found]


@answers(QUERY, "jobsMetricStatsHasMore")
async def jobs_metric_stats_has_more(ask: Ask) -> bool:
    """Whether more jobs match the filter than jobsMetricStats returns."""
    limit = ask.gateway.metrics.settings.comparison_jobs
    return len(await _newest(ask, limit + 1)) > limit


@answers(QUERY, "jobsFootprints")
async def jobs_footprints(ask: Ask) -> Footprints:
    services = ask.gateway.metrics
    return await services.analysis.footprints(await _jobs(ask, services.settings.analysis_jobs), _each(ask["metrics"]))


@answers(QUERY, "rooflineHeatmap")
async def roofline_heatmap(ask: Ask) -> list[list[int]]:
    services = ask.gateway.metrics
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
    key = await visible_id(ask, ask["id"])
    jobs = await _stored(ask, [key])
    if not jobs:
        raise no_job(key)  # deleted in the meantime
    return jobs[0]


async def _jobs(ask: Ask, limit: int) -> list[StoredJob]:
    """Raises RequestError (400) when more than ``limit`` match."""
    where = job_filters(ask["filter"], ask.gateway.clock())
    keys = await ask.gateway.jobs.select(ask.user, where, Order(is_descending=False), Slice(limit + 1))
    if len(keys) > limit:
        raise bad_request(f"too many jobs matched (max: {limit})")
    return await _stored(ask, keys)


async def _newest(ask: Ask, limit: int) -> Sequence[int]:
    """Ids of the matching jobs with the latest start, latest first."""
    where = job_filters(ask["filter"], ask.gateway.clock())
    return await ask.gateway.jobs.select(ask.user, where, Order(is_descending=True), Slice(limit))


async def _stored(ask: Ask, keys: Sequence[int]) -> list[StoredJob]:
    found = await ask.gateway.jobs.jobs(ask.user, keys, JobSelection(_COLUMNS))
    return [StoredJob(**{name: getattr(row, name) for name in _COLUMNS}, meta_data=None) for row in found.jobs]


# getters of the types' fields


def _numbers(attribute: str) -> Getter:
    get = attrgetter(attribute)

    def text(value: Any) -> orjson.Fragment:
        found: Numbers | None = get(value)
        return _NONE if found is None else found.fragment

    return text


def _null(_: Any) -> None:
    return None


def _id(series: SeriesText) -> str | None:
    return series.id


TABLES: Tables = {
    "JobMetricWithName": {"name": attrgetter("name"), "scope": attrgetter("scope"), "metric": attrgetter("metric")},
    "JobMetric": {
        "unit": attrgetter("unit"),
        "timestep": attrgetter("timestep"),
        "from": attrgetter("first_s"),
        "series": attrgetter("series"),
        "statisticsSeries": attrgetter("statistics_series"),
    },
    "JobBands": {"id": attrgetter("job"), "metrics": attrgetter("metrics")},
    "MetricBand": {
        "name": attrgetter("name"),
        "scope": attrgetter("scope"),
        "unit": attrgetter("unit"),
        "timestep": attrgetter("timestep"),
        "min": _numbers("min"),
        "median": _numbers("median"),
        "max": _numbers("max"),
    },
    "Series": {"hostname": attrgetter("hostname"), "id": _id, "statistics": attrgetter("statistics"), "data": _numbers("data")},
    "StatsSeries": {"mean": _numbers("mean"), "median": _numbers("median"), "min": _numbers("min"), "max": _numbers("max")},
    "MetricStatistics": {"avg": attrgetter("avg"), "min": attrgetter("min"), "max": attrgetter("max")},
    "NamedStats": {
        "name": attrgetter("name"),
        "data": attrgetter("data"),
        "hasData": lambda one: one.data is not NO_STATISTICS,
    },
    "NamedStatsWithScope": {"name": attrgetter("name"), "scope": attrgetter("scope"), "stats": attrgetter("metric.series")},
    "ScopedStats": {"hostname": attrgetter("hostname"), "id": _id, "data": attrgetter("statistics")},
    "JobStats": {
        "id": attrgetter("job.id"),
        "jobId": lambda view: str(view.job.job_id),
        "startTime": attrgetter("job.start_time"),
        "duration": attrgetter("duration"),
        "cluster": attrgetter("job.cluster"),
        "subCluster": attrgetter("job.subcluster"),
        "numNodes": attrgetter("job.num_nodes"),
        "numHWThreads": lambda view: view.job.num_hwthreads or 0,
        "numAccelerators": lambda view: view.job.num_acc or 0,
        "stats": attrgetter("statistics"),
    },
    "Footprints": {"timeWeights": attrgetter("time_weights"), "metrics": attrgetter("metrics")},
    "TimeWeights": {"nodeHours": _numbers("node_hours"), "accHours": _numbers("acc_hours"), "coreHours": _numbers("core_hours")},
    "MetricFootprints": {"metric": attrgetter("metric"), "data": _numbers("data")},
    "NodeMetrics": {
        "host": attrgetter("host"),
        "nodeState": attrgetter("state.node_state"),
        "metricHealth": attrgetter("state.health"),
        "subCluster": attrgetter("subcluster"),
        "metrics": attrgetter("metrics"),
    },
    "NodesResultList": {
        "items": attrgetter("items"),
        "offset": _null,
        "limit": _null,
        "count": _null,
        "totalNodes": attrgetter("total"),
        "hasNextPage": attrgetter("has_next"),
    },
    "ClusterMetrics": {"nodeCount": attrgetter("node_count"), "metrics": attrgetter("metrics")},
    "ClusterMetricWithName": {
        "name": attrgetter("name"),
        "unit": attrgetter("unit"),
        "timestep": attrgetter("timestep"),
        "data": _numbers("data"),
    },
}
