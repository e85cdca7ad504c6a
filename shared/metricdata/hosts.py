"""Metric data of whole hosts, regardless of the jobs on them, for the views of nodes and clusters."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.domain.clusters import Metric
from shared.metricdata.model import FloatArray, Statistics

MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class HostsRequest:
    """From ``start`` to ``end`` in Unix seconds, ``end`` not included. ``hosts`` None means all that the source knows."""

    cluster: str
    start: int
    end: int
    metrics: Sequence[Metric]
    hosts: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class HostSeries:
    """Everything below the host combined. Sample k belongs to the start of the window plus k timesteps.

    ``statistics`` is None, and ``data`` may be empty, when there is no sample in the window.
    """

    timestep: int
    statistics: Statistics | None
    data: FloatArray = field(default_factory=lambda: np.empty(0))


@dataclass(slots=True)
class HostsLoaded:
    """``series`` by host and metric. A host that the source does not know is absent, and so is a metric that it does not have."""

    series: dict[str, dict[str, HostSeries]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def problem(self, host: str, metric: Metric, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{metric.name} of {host}: {text}"[:500])
