"""Reduces long series with largest-triangle-three-buckets, vectorised over all series of a metric. Pure.

Source: metrics specification, 3.8. Missing samples are preferred, so that gaps stay visible. The band over the
series covers all samples of each bucket, so every reduced series stays inside it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.metricdata.model import FloatArray, JobData, MetricData, StatisticsSeries
from shared.metricdata.postprocess import matrix

DEFAULT_MINIMUM_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Resolution:
    """With ``seconds`` 0, or fewer than ``minimum_points`` samples, series are not reduced."""

    seconds: int = 0
    minimum_points: int = DEFAULT_MINIMUM_POINTS

    def points(self, timestep: int, samples: int) -> int | None:
        """Number of samples after reduction; None if the series stay as they are.

        A resolution that is not a multiple of the timestep changes nothing, so that such a metric does not fail the whole query.
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
    """All series of a metric have one timestep and one length; shorter ones are padded with missing samples."""
    values = matrix([series.data for series in metric.series])
    kept = resolution.points(metric.timestep, values.shape[1])
    if kept is None:
        return metric
    reduced = lttb(values, kept)
    return replace(
        metric,
        timestep=resolution.seconds,
        series=tuple(replace(series, data=row) for series, row in zip(metric.series, reduced, strict=True)),
        statistics_series=None if metric.statistics_series is None else _band(metric.statistics_series, values, kept),
    )


def _band(band: StatisticsSeries, values: FloatArray, kept: int) -> StatisticsSeries:
    """Minimum and maximum of each bucket; missing where a step of the bucket has no band. The other lines are reduced as series."""
    samples = values.shape[1]
    starts = bucket_starts(samples, kept)

    def padded(row: FloatArray) -> FloatArray:
        result = np.full(samples, np.nan)
        result[: row.size] = row[:samples]
        return result

    def line(row: FloatArray | None) -> FloatArray | None:
        if row is None or row.size == 0:
            return row
        reduced: FloatArray = lttb(padded(row)[None, :], kept)[0]
        return reduced

    def edge(row: FloatArray, extreme: np.ufunc, present: np.ufunc) -> FloatArray:
        if row.size == 0:
            return row
        stored = extreme.reduceat(padded(row), starts)
        measured = present.reduceat(present.reduce(values, axis=0), starts)  # stored bands of other writers may be rounded
        result: FloatArray = np.where(np.isnan(stored), np.nan, present(stored, measured))
        return result

    return StatisticsSeries(
        min=edge(band.min, np.minimum, np.fmin), median=line(band.median), max=edge(band.max, np.maximum, np.fmax), mean=line(band.mean)
    )


def bucket_starts(samples: int, kept: int) -> list[int]:
    """The index of the first sample of each bucket. The first and the last sample are buckets of their own."""
    width = (samples - 2) / max(kept - 2, 1)
    return [0, *(int(width * bucket) + 1 for bucket in range(kept - 2)), samples - 1]


def lttb(values: FloatArray, kept: int) -> FloatArray:
    """``kept`` samples of each row, always including the first and the last. Rows must have more samples."""
    rows, samples = values.shape
    chosen = np.zeros((rows, kept), dtype=np.intp)
    chosen[:, -1] = samples - 1
    every = np.arange(rows)
    width = (samples - 2) / max(kept - 2, 1)
    borders = [int(width * bucket) + 1 for bucket in range(kept + 1)]
    last = samples - 2  # a candidate in no bucket, as in the definition of the algorithm
    previous_index: NDArray[np.intp] = np.zeros(rows, dtype=np.intp)
    for bucket in range(kept - 2):
        first, end = borders[bucket], min(borders[bucket + 1], last)
        next_first, next_end = min(borders[bucket + 1], last), min(borders[bucket + 2], last) + 1
        middle = (next_first + next_end - 1) / 2.0
        mean = values[:, next_first:next_end].mean(axis=1)
        at = np.arange(first, end)
        previous = values[every, previous_index][:, None]
        areas = np.abs(
            (previous_index[:, None] - middle) * (values[:, first:end] - previous)
            - (previous_index[:, None] - at) * (mean[:, None] - previous)
        )
        previous_index = first + _largest(areas)
        chosen[:, bucket + 1] = previous_index
    result: FloatArray = np.take_along_axis(values, chosen, axis=1)
    return result


def _largest(areas: FloatArray) -> NDArray[np.intp]:
    """The index of the first maximum of each row, or of the last NaN if there is one."""
    is_missing = np.isnan(areas)
    found: NDArray[np.intp] = np.argmax(areas, axis=1)
    has_missing = is_missing.any(axis=1)
    if has_missing.any():
        last_missing = areas.shape[1] - 1 - np.argmax(is_missing[:, ::-1], axis=1)
        found = np.where(has_missing, last_missing, found)
    return found
