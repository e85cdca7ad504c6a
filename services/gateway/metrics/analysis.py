"""Analyses over many jobs: their footprints, and the distribution of their samples over the roofline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.gateway.errors import bad_request
from services.gateway.metrics.archived import Texts
from services.gateway.metrics.cache import Cache
from services.gateway.metrics.jobs import JobMetrics
from services.gateway.metrics.model import Numbers, numbers
from services.gateway.metrics.selection import NODE, MetricSelection
from services.gateway.metrics.statistics import JobStatistics
from services.gateway.reading.model import StoredJob
from shared.archive import metric_data, stored_scopes
from shared.domain.values import ARCHIVED, MONITORING_OPEN
from shared.metricdata import MetricData
from shared.metricdata.model import FloatArray
from shared.metricdata.postprocess import coarsest, node_data

FLOPS, BANDWIDTH = "flops_any", "mem_bw"
_BYTES_PER_JOB = 300  # size of a cache entry without its samples
MIB = 1024 * 1024
SECONDS_PER_WEIGHT = 60.0  # the API calls these weights hours, but clients expect minutes


@dataclass(frozen=True, slots=True)
class TimeWeights:
    """Per job: duration times number of nodes, accelerators and hardware threads, in minutes."""

    node_hours: Numbers
    acc_hours: Numbers
    core_hours: Numbers


@dataclass(frozen=True, slots=True)
class MetricFootprint:
    metric: str
    data: Numbers


@dataclass(frozen=True, slots=True)
class Footprints:
    time_weights: TimeWeights
    metrics: Sequence[MetricFootprint]


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of a heat map with logarithmic axes. The limits are plain numbers, not logarithms."""

    rows: int
    columns: int
    min_x: float
    min_y: float
    max_x: float
    max_y: float

    def check(self, max_cells: int = 1_000_000) -> None:
        """Raises RequestError (400)."""
        if self.rows < 0 or self.columns < 0 or self.rows * self.columns > max_cells:
            raise bad_request(f"rows, cols: neither may be negative, and their product is at most {max_cells}")
        for name, low, high in (("X", self.min_x, self.max_x), ("Y", self.min_y, self.max_y)):
            if not 0 < low < high < math.inf:
                raise bad_request(f"min{name}, max{name}: must satisfy 0 < min{name} < max{name}")


@dataclass(frozen=True, slots=True)
class RooflinePoints:
    """Decimal logarithms of the positive samples of a job, over all nodes: ``y`` of flops, ``x`` of flops per byte."""

    x: FloatArray
    y: FloatArray

    @property
    def size(self) -> int:
        return self.x.nbytes + self.y.nbytes + _BYTES_PER_JOB


_NO_POINTS = RooflinePoints(np.empty(0), np.empty(0))


class Analysis:
    def __init__(self, jobs: JobMetrics, statistics: JobStatistics, cache_mb: float) -> None:
        self._jobs = jobs
        self._statistics = statistics
        self._points: Cache[RooflinePoints] = Cache(int(cache_mb * MIB), lambda points: points.size)

    async def close(self) -> None:
        await self._points.close()

    async def footprints(self, jobs: Sequence[StoredJob], metrics: Sequence[str]) -> Footprints:
        """In the order of ``jobs``, without those that are not monitored or whose data cannot be read."""
        monitored = [job for job in jobs if job.monitoring_status in (MONITORING_OPEN, ARCHIVED)]
        found = await self._statistics.of_many(monitored, metrics)
        readable = [job for job in monitored if job.id in found]
        spent = np.array([self._jobs.duration(job) / SECONDS_PER_WEIGHT for job in readable], dtype=np.float64)

        def weights(parts: Sequence[int | None]) -> Numbers:
            counts = np.array([part or 0 for part in parts], dtype=np.float64)
            return numbers(np.where(counts > 0, spent * counts, 1.0))  # jobs without this number all weigh the same

        return Footprints(
            TimeWeights(
                node_hours=weights([job.num_nodes for job in readable]),
                acc_hours=weights([job.num_acc for job in readable]),
                core_hours=weights([job.num_hwthreads for job in readable]),
            ),
            [
                MetricFootprint(
                    name, numbers(np.array([found[job.id][name].avg if name in found[job.id] else math.nan for job in readable]))
                )
                for name in metrics
            ],
        )

    async def roofline(self, jobs: Sequence[StoredJob], grid: Grid) -> list[list[int]]:
        """The number of samples in each cell, over all jobs. Jobs whose data cannot be read are left out."""
        grid.check()
        if not grid.rows * grid.columns:
            return [[] for _ in range(grid.rows)]
        monitored = [job for job in jobs if job.monitoring_status in (MONITORING_OPEN, ARCHIVED)]
        points = await self._statistics.each(monitored, self._points_of)
        counts = await self._jobs.archive.in_thread(_counted, list(points.values()), grid)
        cells: list[list[int]] = counts.tolist()
        return cells

    async def _points_of(self, job: StoredJob) -> RooflinePoints:
        version = await self._jobs.version(job)
        if version is None:
            return _NO_POINTS
        return await self._points.get(version.key, version.lifetime_s, lambda: self._load_points(job))

    async def _load_points(self, job: StoredJob) -> RooflinePoints:
        if self._jobs.comes_from_store(job):
            data = await self._jobs.stored(job, MetricSelection((FLOPS, BANDWIDTH), (NODE,), with_band=False))
            return await self._jobs.archive.in_thread(_points_of, {name: node_data(name, scopes) for name, scopes in data.items()})
        return await self._jobs.archive.texts(job, (FLOPS, BANDWIDTH), _archived_points)


def _archived_points(texts: Texts) -> RooflinePoints:
    """Decodes the samples of the coarsest scope only; they are summed per node if necessary."""
    found: dict[str, MetricData | None] = {}
    for name, text in texts.items():
        stored = {scope: metric for scope, metric in stored_scopes(text).items() if metric.series}
        if stored:
            scope = coarsest(stored)
            found[name] = node_data(name, {scope: metric_data(stored[scope])})
    return _points_of(found)


def _points_of(data: Mapping[str, MetricData | None]) -> RooflinePoints:
    """Pairs the samples of both metrics by host and index."""
    flops, bandwidth = data.get(FLOPS), data.get(BANDWIDTH)
    if flops is None or bandwidth is None:
        return _NO_POINTS
    by_host = {series.hostname: series.data for series in bandwidth.series}
    pairs = [_pair(series.data, by_host[series.hostname]) for series in flops.series if series.hostname in by_host]
    if not pairs:
        return _NO_POINTS
    return RooflinePoints(np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]))


def _pair(flops: FloatArray, bandwidth: FloatArray) -> tuple[FloatArray, FloatArray]:
    length = min(flops.size, bandwidth.size)
    flops, bandwidth = flops[:length], bandwidth[:length]
    is_positive = (flops > 0) & (bandwidth > 0)  # false where one of them is missing
    y = np.log10(flops[is_positive])
    return y - np.log10(bandwidth[is_positive]), y


def _counted(jobs: Sequence[RooflinePoints], grid: Grid) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    counts = np.zeros(grid.rows * grid.columns, dtype=np.int64)
    for points in jobs:
        column = _cells(points.x, grid.min_x, grid.max_x, grid.columns)
        row = _cells(points.y, grid.min_y, grid.max_y, grid.rows)
        is_inside = (column >= 0) & (row >= 0)
        np.add.at(counts, row[is_inside] * grid.columns + column[is_inside], 1)
    return counts.reshape(grid.rows, grid.columns)


def _cells(values: FloatArray, low: float, high: float, cells: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The cell of each logarithm in ``values``, -1 outside the limits."""
    low, high = math.log10(low), math.log10(high)
    places = np.floor((values - low) / (high - low) * cells).astype(np.int64)
    return np.where((values >= low) & (values < high), np.minimum(places, cells - 1), -1)
