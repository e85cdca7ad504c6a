"""Arithmetic on samples."""

import math

import numpy as np

from shared.metricdata.model import FloatArray, Statistics


def round2(value: float) -> float:
    """Round to two decimals, half away from zero, unlike ``round``, which rounds half to even."""
    scaled = value * 100.0
    if not math.isfinite(scaled):
        return value
    whole = math.trunc(scaled)
    if abs(scaled - whole) >= 0.5:
        whole += 1 if scaled > 0 else -1
    return whole / 100.0


def statistics_of(data: FloatArray) -> Statistics | None:
    """Average, minimum and maximum of the existing samples. None without samples, or when a value is infinite."""
    present = data[~np.isnan(data)]
    if present.size == 0:
        return None
    with np.errstate(over="ignore"):
        found = Statistics(float(present.mean()), float(present.min()), float(present.max()))
    return found if math.isfinite(found.avg) and math.isfinite(found.min) and math.isfinite(found.max) else None
