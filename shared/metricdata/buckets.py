"""Reduces series to a bounded number of buckets of equal length. Pure.

Bucket b covers samples b * size to (b + 1) * size - 1, so it begins b * size timesteps after the first sample. The last bucket
may cover fewer. Since all buckets have the same length, every time is exact, but there may be only half as many as requested.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shared.metricdata.model import FloatArray, MetricData, StatisticsSeries
from shared.metricdata.postprocess import matrix, statistics_series


def bucket_size(samples: int, points: int) -> int:
    """Samples per bucket, so that there are at most ``points`` buckets."""
    return max(-(-samples // points), 1)


def bucketed(metric: MetricData, points: int, size: int | None = None, *, with_samples: bool = True, with_band: bool = True) -> MetricData:
    """Replace samples by the means of their buckets. The band covers all samples of all series, also if there is only one.

    ``size`` is the number of samples per bucket, by default that of ``bucket_size``. Without ``with_samples`` the series are
    returned unchanged, for callers that use only the band.
    """
    rows = [series.data for series in metric.series]
    size = size or bucket_size(max((row.size for row in rows), default=0), points)
    means = bucket_means(matrix(rows), size) if with_samples and size > 1 else rows
    return replace(
        metric,
        timestep=metric.timestep * size,
        series=tuple(replace(series, data=row) for series, row in zip(metric.series, means, strict=True)),
        statistics_series=band_of(rows, size) if with_band else None,
    )


def each_bucketed(metrics: Sequence[MetricData], points: int, *, with_samples: bool = True, with_band: bool = True) -> list[MetricData]:
    """``bucketed`` of each metric, in one pass. Each has one series, and all have the same timestep and number of samples."""
    if not metrics:
        return []
    rows = np.stack([metric.series[0].data for metric in metrics])
    size = bucket_size(rows.shape[1], points)
    buckets = _cut(rows, size)
    means = _means(buckets)
    least, greatest = np.fmin.reduce(buckets, axis=-1), np.fmax.reduce(buckets, axis=-1)
    return [
        replace(
            metric,
            timestep=metric.timestep * size,
            series=(replace(metric.series[0], data=means[number]),) if with_samples and size > 1 else metric.series,
            statistics_series=StatisticsSeries(least[number], means[number], greatest[number], means[number]) if with_band else None,
        )
        for number, metric in enumerate(metrics)
    ]


def band_of(rows: Sequence[FloatArray], size: int) -> StatisticsSeries:
    """Minimum, mean and maximum of all samples in each bucket, and the mean of its medians per step; NaN for an empty bucket."""
    steps = statistics_series(rows, values_per_step=1)
    return replace(coarser(steps, size), mean=_mean_of_all(matrix(rows), size))


def coarser(band: StatisticsSeries, size: int) -> StatisticsSeries:
    """Combine each ``size`` steps of a band into one bucket. The result has no mean, since that needs the number of samples."""
    return StatisticsSeries(
        min=np.fmin.reduce(_cut(band.min, size), axis=-1),
        median=None if band.median is None else _means(_cut(band.median, size)),
        max=np.fmax.reduce(_cut(band.max, size), axis=-1),
    )


def bucket_means(rows: FloatArray, size: int) -> FloatArray:
    """The mean of each bucket of each row, without missing samples; NaN for an empty bucket."""
    return _means(_cut(rows, size))


def _mean_of_all(rows: FloatArray, size: int) -> FloatArray:
    buckets = _cut(rows, size)
    series, count, samples = buckets.shape
    return _means(np.moveaxis(buckets, 0, 1).reshape(count, series * samples))


def _cut(values: FloatArray, size: int) -> FloatArray:
    """Split the last axis into buckets, padded with NaN."""
    samples = values.shape[-1]
    missing = -samples % size
    if missing:
        padding = [(0, 0)] * (values.ndim - 1) + [(0, missing)]
        values = np.pad(values, padding, constant_values=np.nan)
    return values.reshape(*values.shape[:-1], (samples + missing) // size, size)


def _means(buckets: FloatArray) -> FloatArray:
    """Means over the last axis, clipped, because rounding can move a mean outside the range of its values."""
    present = ~np.isnan(buckets)
    counts = present.sum(axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.where(present, buckets, 0.0).sum(axis=-1) / np.maximum(counts, 1)
    means = np.clip(means, np.fmin.reduce(buckets, axis=-1), np.fmax.reduce(buckets, axis=-1))
    result: FloatArray = np.where(counts > 0, means, np.nan)
    return result
