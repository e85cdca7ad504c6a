"""What many jobs have in common: weights and averages of each, and how their samples spread over the roofline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.gateway.errors import bad_request
from services.gateway.metrics.jobs import JobMetrics
from services.gateway.metrics.model import Numbers, numbers
from services.gateway.metrics.selection import NODE, Wanted, chosen_scopes, completed
from services.gateway.metrics.statistics import JobStatistics
from services.gateway.reading.jobs import StoredJob
from shared.domain.values import ARCHIVED, MONITORING_OPEN
from shared.metricdata import JobData
from shared.metricdata.model import FloatArray

FLOPS, BANDWIDTH = "flops_any", "mem_bw"
SECONDS_PER_WEIGHT = 60.0  # what readers of the interface call hours


@dataclass(frozen=True, slots=True)
class TimeWeights:
    """Of each job, its time multiplied by its nodes, accelerators and hardware threads, in minutes."""

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
    """Cells of a heat map over plain numbers, which are laid out by their logarithms."""

    rows: int
    columns: int
    min_x: float
    min_y: float
    max_x: float
    max_y: float

    def check(self, most_cells: int = 1_000_000) -> None:
        """Raises RequestError (400)."""
        if self.rows < 0 or self.columns < 0 or self.rows * self.columns > most_cells:
            raise bad_request(f"rows, cols: at most {most_cells} cells, and not less than 0 of either")
        for name, least, most in (("X", self.min_x, self.max_x), ("Y", self.min_y, self.max_y)):
            if not 0 < least < most < math.inf:
                raise bad_request(f"min{name}, max{name}: 0 < min{name} < max{name} is expected")


class Analysis:
    def __init__(self, jobs: JobMetrics, statistics: JobStatistics) -> None:
        self._jobs = jobs
        self._statistics = statistics

    async def footprints(self, jobs: Sequence[StoredJob], metrics: Sequence[str]) -> Footprints:
        """In the order of the jobs; those without monitoring are left out, and those whose data cannot be read."""
        monitored = [job for job in jobs if job.monitoring_status in (MONITORING_OPEN, ARCHIVED)]
        found = await self._statistics.of_many(monitored, metrics)
        kept = [job for job in monitored if job.id in found]
        spent = np.array([self._jobs.duration(job) / SECONDS_PER_WEIGHT for job in kept], dtype=np.float64)

        def weights(parts: Sequence[int | None]) -> Numbers:
            counts = np.array([part or 0 for part in parts], dtype=np.float64)
            return numbers(np.where(counts > 0, spent * counts, 1.0))  # unknown: all such jobs count alike

        return Footprints(
            TimeWeights(
                node_hours=weights([job.num_nodes for job in kept]),
                acc_hours=weights([job.num_acc for job in kept]),
                core_hours=weights([job.num_hwthreads for job in kept]),
            ),
            [
                MetricFootprint(name, numbers(np.array([found[job.id][name].avg if name in found[job.id] else math.nan for job in kept])))
                for name in metrics
            ],
        )

    async def roofline(self, jobs: Sequence[StoredJob], grid: Grid) -> list[list[int]]:
        """How many samples of all jobs lie in each cell; jobs that cannot be read are left out."""
        grid.check()
        monitored = [job for job in jobs if job.monitoring_status in (MONITORING_OPEN, ARCHIVED)]
        counts = np.zeros((grid.rows, grid.columns), dtype=np.int64)
        if counts.size:
            for found in (await self._statistics.each(monitored, lambda job: self._counts(job, grid))).values():
                counts += found
        cells: list[list[int]] = counts.tolist()
        return cells

    async def _counts(self, job: StoredJob, grid: Grid) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        wanted = Wanted((FLOPS, BANDWIDTH), (NODE,), with_band=False)
        if self._jobs.comes_from_store(job):
            data = await self._jobs.stored(job, wanted)
            return await self._jobs.archive.in_thread(_counted, completed(data, wanted), grid)
        if job.monitoring_status != ARCHIVED:
            return np.zeros((grid.rows, grid.columns), dtype=np.int64)
        return await self._jobs.archive.data(
            job, wanted.metrics, lambda data: _counted(completed(chosen_scopes(data, wanted), wanted), grid)
        )


def _counted(data: JobData, grid: Grid) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Samples of both metrics belong together by host and place."""
    counts = np.zeros((grid.rows, grid.columns), dtype=np.int64)
    if any(NODE not in data.get(name, {}) for name in (FLOPS, BANDWIDTH)):
        return counts
    bandwidth = {series.hostname: series.data for series in data[BANDWIDTH][NODE].series}
    for series in data[FLOPS][NODE].series:
        if series.hostname in bandwidth:
            _count(series.data, bandwidth[series.hostname], grid, counts)
    return counts


def _count(flops: FloatArray, bandwidth: FloatArray, grid: Grid, counts: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> None:
    length = min(flops.size, bandwidth.size)
    flops, bandwidth = flops[:length], bandwidth[:length]
    is_there = (flops > 0) & (bandwidth > 0)  # false where one of them is missing
    y = np.log10(flops[is_there])
    x = y - np.log10(bandwidth[is_there])
    column = _cells(x, grid.min_x, grid.max_x, grid.columns)
    row = _cells(y, grid.min_y, grid.max_y, grid.rows)
    is_inside = (column >= 0) & (row >= 0)
    np.add.at(counts, (row[is_inside], column[is_inside]), 1)


def _cells(values: FloatArray, least: float, most: float, cells: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The cell of each value, -1 outside."""
    low, high = math.log10(least), math.log10(most)
    places = np.floor((values - low) / (high - low) * cells).astype(np.int64)
    return np.where((values >= low) & (values < high), np.minimum(places, cells - 1), -1)
