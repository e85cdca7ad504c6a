"""Largest-triangle-three-buckets, vectorised over series. Pure. Source: metrics specification, 3.8."""

import numpy as np
from numpy.typing import NDArray

from shared.metricdata.model import FloatArray

DEFAULT_MINIMUM_POINTS = 1000


def points(resolution: int, timestep: int, samples: int, minimum_points: int = DEFAULT_MINIMUM_POINTS) -> int | None:
    """Number of samples after reduction; None if a series stays as it is, as with a resolution that is not a multiple of its timestep."""
    if resolution <= timestep or timestep <= 0 or resolution % timestep:
        return None
    kept = samples // (resolution // timestep)
    return None if kept == 0 or samples < minimum_points or kept >= samples else max(kept, 2)


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
