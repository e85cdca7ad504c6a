"""Reduces long series with largest-triangle-three-buckets, vectorised over all series of a metric. Pure.

Source: metrics specification, 3.8. Missing samples are preferred, so that gaps stay visible. The band over the
series covers all samples of each bucket, so every reduced series stays inside it.
"""

from dataclasses import dataclass, replace

import numpy as np

from shared.metricdata.lttb import DEFAULT_MINIMUM_POINTS, bucket_starts, lttb, points
from shared.metricdata.model import FloatArray, JobData, MetricData, StatisticsSeries
from shared.metricdata.postprocess import matrix


@dataclass(frozen=True, slots=True)
class Resolution:
    """With ``seconds`` 0, or fewer than ``minimum_points`` samples, series are not reduced."""

    seconds: int = 0
    minimum_points: int = DEFAULT_MINIMUM_POINTS

    def points(self, timestep: int, samples: int) -> int | None:
        """Number of samples after reduction; None if the series are not reduced.

        A resolution that is not a multiple of the timestep changes nothing, so that such a metric does not fail the whole query.
        """
        return points(self.seconds, timestep, samples, self.minimum_points)


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
    """Minimum and maximum of each bucket; missing where a step of the bucket has no band. The other lines are reduced like series."""
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
