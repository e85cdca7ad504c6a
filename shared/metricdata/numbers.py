"""Small arithmetic on samples."""

import math

import numpy as np

from shared.metricdata.model import FloatArray, Statistics


def round2(value: float) -> float:
    """Two decimals, half away from zero; unlike ``round``, which goes to the even neighbour."""
    scaled = value * 100.0
    if not math.isfinite(scaled):
        return value
    whole = math.trunc(scaled)
    if abs(scaled - whole) >= 0.5:
        whole += 1 if scaled > 0 else -1
    return whole / 100.0


def statistics_of(data: FloatArray) -> Statistics | None:
    """Average, least and greatest of the samples that are there; None when there are none, or their sum is infinite."""
    present = data[~np.isnan(data)]
    if present.size == 0:
        return None
    with np.errstate(over="ignore"):
        found = Statistics(float(present.mean()), float(present.min()), float(present.max()))
    return found if math.isfinite(found.avg) and math.isfinite(found.min) and math.isfinite(found.max) else None
