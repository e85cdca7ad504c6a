"""Fewer samples for long series: largest triangle three buckets, for all series of a metric at once. Pure.

Source: metrics specification, 3.8. A missing sample is taken before any other, so that gaps stay visible.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.metricdata.model import FloatArray, JobData, MetricData, StatisticsSeries
from shared.metricdata.postprocess import matrix

DEFAULT_MINIMUM_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Resolution:
    """``seconds`` 0 leaves everything as it is; series with fewer samples than ``minimum_points`` are left too."""

    seconds: int = 0
    minimum_points: int = DEFAULT_MINIMUM_POINTS

    def points(self, timestep: int, samples: int) -> int | None:
        """How many samples are kept; None: all of them, at the old timestep.

        A resolution that is no multiple of the timestep changes nothing: one such metric is no reason to refuse the others.
        """
        if self.seconds <= timestep or timestep <= 0 or self.seconds % timestep:
            return None
        kept = samples // (self.seconds // timestep)
        return None if kept == 0 or samples < self.minimum_points or kept >= samples else max(kept, 2)


def resampled(data: JobData, resolution: Resolution) -> JobData:
    if not resolution.seconds:
        return data
    return {name: {scope: _metric(metric, resolution) for scope, metric in scopes.items()} for name, scopes in data.items()}


def _metric(metric: MetricData, resolution: Resolution) -> MetricData:
    """All series of a metric keep one timestep and one length: the shorter ones are filled up with missing samples."""
    values = matrix([series.data for series in metric.series])
    kept = resolution.points(metric.timestep, values.shape[1])
    if kept is None:
        return metric
    reduced = lttb(values, kept)
    return replace(
        metric,
        timestep=resolution.seconds,
        series=tuple(replace(series, data=row) for series, row in zip(metric.series, reduced, strict=True)),
        statistics_series=None if metric.statistics_series is None else _band(metric.statistics_series, values.shape[1], kept),
    )


def _band(series: StatisticsSeries, samples: int, kept: int) -> StatisticsSeries:
    def reduced(row: FloatArray | None) -> FloatArray | None:
        if row is None or row.size == 0:
            return row
        filled = np.full((1, samples), np.nan)
        filled[0, : row.size] = row[:samples]
        found: FloatArray = lttb(filled, kept)[0]
        return found

    nothing = np.empty(0)
    least, greatest = reduced(series.min), reduced(series.max)
    return StatisticsSeries(
        min=nothing if least is None else least,
        median=reduced(series.median),
        max=nothing if greatest is None else greatest,
        mean=reduced(series.mean),
    )


def lttb(values: FloatArray, kept: int) -> FloatArray:
    """``kept`` samples of each row; the first and the last are always among them. Rows must have more samples than that."""
    rows, samples = values.shape
    chosen = np.zeros((rows, kept), dtype=np.intp)
    chosen[:, -1] = samples - 1
    every = np.arange(rows)
    width = (samples - 2) / max(kept - 2, 1)
    borders = [int(width * bucket) + 1 for bucket in range(kept + 1)]
    last = samples - 2  # a candidate in no bucket, as the algorithm was defined
    before: NDArray[np.intp] = np.zeros(rows, dtype=np.intp)
    for bucket in range(kept - 2):
        first, end = borders[bucket], min(borders[bucket + 1], last)
        next_first, next_end = min(borders[bucket + 1], last), min(borders[bucket + 2], last) + 1
        middle = (next_first + next_end - 1) / 2.0
        mean = values[:, next_first:next_end].mean(axis=1)
        at = np.arange(first, end)
        previous = values[every, before][:, None]
        areas = np.abs((before[:, None] - middle) * (values[:, first:end] - previous) - (before[:, None] - at) * (mean[:, None] - previous))
        before = first + _largest(areas)
        chosen[:, bucket + 1] = before
    result: FloatArray = np.take_along_axis(values, chosen, axis=1)
    return result


def _largest(areas: FloatArray) -> NDArray[np.intp]:
    """The first of the largest of each row; where some are NaN, the last of these."""
    is_missing = np.isnan(areas)
    found: NDArray[np.intp] = np.argmax(areas, axis=1)
    has_missing = is_missing.any(axis=1)
    if has_missing.any():
        last_missing = areas.shape[1] - 1 - np.argmax(is_missing[:, ::-1], axis=1)
        found = np.where(has_missing, last_missing, found)
    return found
