"""Parsing one element of a cc-metric-store answer. Source: metric store interface 2.3."""

from dataclasses import replace
from typing import Any

import numpy as np

from shared.metricdata.arithmetic import statistics_of
from shared.metricdata.model import FloatArray, Statistics


def placed(values: list[float | None], first: int, timestep: int, start: int, end: int) -> FloatArray:
    """The samples, preceded by NaN for the steps from ``start`` to ``first``, cut to the length of the window."""
    limit = -(-(end - start) // timestep) + 1  # plus one, because both ends may be off the store's grid
    leading = min(max(first // timestep - start // timestep, 0), limit)
    data = np.array(values[:limit], dtype=np.float64)  # None becomes NaN
    return np.concatenate([np.full(leading, np.nan), data])[:limit] if leading else data


def stated(found: dict[str, Any], data: FloatArray) -> Statistics | None:
    """The average is the store's own, computed from unrounded samples. None without samples.

    The store rounds extremes to fewer decimals than samples, and in another way, so they are taken from the samples.
    """
    computed = statistics_of(data)
    statistics = stated_alone(found)
    return computed if computed is None or statistics is None else replace(computed, avg=statistics.avg)


def stated_alone(found: dict[str, Any]) -> Statistics | None:
    """The store's own statistics, for answers without samples."""
    avg, minimum, maximum = found.get("avg"), found.get("min"), found.get("max")
    return None if avg is None or minimum is None or maximum is None else Statistics(float(avg), float(minimum), float(maximum))
