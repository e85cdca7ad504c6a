"""One element of an answer of cc-metric-store. Source: metric store interface 2.3."""

from typing import Any

import numpy as np

from shared.metricdata.model import FloatArray, Statistics
from shared.metricdata.numbers import statistics_of


def placed(values: list[float | None], first: int, timestep: int, start: int, end: int) -> FloatArray:
    """The samples with as many missing ones before them as there are steps from ``start`` to the first; never longer than the window."""
    most = -(-(end - start) // timestep) + 1  # one more: both ends may be off the store's grid
    leading = min(max(first // timestep - start // timestep, 0), most)
    data = np.array(values[:most], dtype=np.float64)  # None becomes NaN
    return np.concatenate([np.full(leading, np.nan), data])[:most] if leading else data


def stated(found: dict[str, Any], data: FloatArray) -> Statistics | None:
    """The store's own, made of the unrounded samples; None when there is no sample."""
    told = stated_alone(found)
    if told is None:
        return statistics_of(data)
    return told if not np.isnan(data).all() else None


def stated_alone(found: dict[str, Any]) -> Statistics | None:
    """The store's own, of an element that has no samples with it."""
    avg, least, greatest = found.get("avg"), found.get("min"), found.get("max")
    return None if avg is None or least is None or greatest is None else Statistics(float(avg), float(least), float(greatest))
