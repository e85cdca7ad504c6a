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


def rounded(values: FloatArray, decimals: int = 2) -> FloatArray:
    """Rounded like ``round``, by the exact value, and so like the extremes of a series and like the texts of other programs.

    numpy's own function multiplies first, which moves values near the middle of two results.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = values * 10.0**decimals
        result: FloatArray = np.where(np.isfinite(scaled), np.rint(scaled) / 10.0**decimals, values)
        is_near_middle = np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < 1e-4
    if is_near_middle.any():
        result[is_near_middle] = [round(value, decimals) for value in values[is_near_middle].tolist()]
    return result


def statistics_of(data: FloatArray) -> Statistics | None:
    """Average, minimum and maximum of the existing samples. None without samples, or when a value is infinite."""
    present = data[~np.isnan(data)]
    if present.size == 0:
        return None
    with np.errstate(over="ignore"):
        found = Statistics(float(present.mean()), float(present.min()), float(present.max()))
    return found if math.isfinite(found.avg) and math.isfinite(found.min) and math.isfinite(found.max) else None


def significant(values: FloatArray, digits: int = 4) -> FloatArray:
    """Rounded to significant digits. The result is the nearest double of a short decimal, so its text is short as well."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.floor(np.log10(np.abs(values)))
    shifts = digits - 1 - np.where(np.isfinite(exponents), exponents, 0.0)
    up, down = 10.0 ** np.clip(shifts, 0, 300), 10.0 ** np.clip(-shifts, 0, 300)
    result: FloatArray = np.round(values * up / down) / up * down
    return result
