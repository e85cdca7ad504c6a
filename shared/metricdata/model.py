"""Metric data of one job: metric name to scope to series. Samples are float64 arrays, a missing sample is NaN."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# From fine to coarse. The accelerator is outside the CPU hierarchy.
SCOPE_RANK: dict[str, int] = {"accelerator": 1, "hwthread": 2, "core": 3, "memoryDomain": 4, "socket": 5, "node": 10}


@dataclass(frozen=True, slots=True)
class Unit:
    base: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Over the existing samples."""

    avg: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Series:
    """Sample k belongs to the job's start plus k timesteps. ``id`` names the element of a scope below the node."""

    hostname: str
    id: str | None
    statistics: Statistics
    data: FloatArray


@dataclass(frozen=True, slots=True)
class StatisticsSeries:
    """One value per timestep, over all series."""

    min: FloatArray
    median: FloatArray | None
    max: FloatArray
    mean: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class MetricData:
    """``timestep`` in seconds."""

    unit: Unit
    timestep: int
    series: tuple[Series, ...]
    statistics_series: StatisticsSeries | None = None


JobData = dict[str, dict[str, MetricData]]
