"""Rows of an InfluxDB answer, placed on the grid of a request. The same for both query languages."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from shared.metricdata.model import FloatArray
from shared.metricdata.newest import Value
from shared.metricdata.sampled import Grid, Key


class InfluxRow(NamedTuple):
    """One value. ``time_ms`` is the beginning of its step. ``element`` is None for a node."""

    host: str
    element: str | None
    time_ms: int
    value: float


def placed_rows(rows: Iterable[InfluxRow], grid: Grid) -> dict[Key, FloatArray]:
    """Rows outside the grid are left out, and so are values that are not finite."""
    found: dict[Key, FloatArray] = {}
    step_ms = grid.timestep * 1000
    for row in rows:
        index = (row.time_ms - grid.first_edge_ms) // step_ms
        if 0 <= index < grid.count and math.isfinite(row.value):
            found.setdefault((row.host, row.element), grid.empty())[index] = row.value
    return found


def newest_of(rows: Iterable[InfluxRow]) -> dict[Key, Value]:
    """The newest finite value of each series."""
    found: dict[Key, Value] = {}
    for row in rows:
        known = found.get((row.host, row.element))
        if math.isfinite(row.value) and (known is None or known.time <= row.time_ms // 1000):
            found[row.host, row.element] = Value(row.time_ms // 1000, row.value)
    return found


def hosts_in(rows: Iterable[InfluxRow]) -> frozenset[str]:
    return frozenset(row.host for row in rows)
