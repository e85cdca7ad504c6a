"""The newest value of each host: what a grid of nodes shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.domain.clusters import Metric

FRESH_S = 300  # a host that sent no sample for this long does not deliver the metric
TIMESTEPS = 3  # unless its timestep is longer
MAX_PROBLEMS = 100


class Value(NamedTuple):
    """``time`` in Unix seconds."""

    time: int
    value: float


@dataclass(frozen=True, slots=True)
class NewestRequest:
    """The newest values at ``now`` (Unix seconds) of all hosts that the source knows."""

    cluster: str
    now: int
    metrics: Sequence[Metric]

    def since(self, metric: Metric) -> int:
        """Older values are not shown."""
        return self.now - max(FRESH_S, TIMESTEPS * metric.timestep)


@dataclass(frozen=True, slots=True)
class NewestColumn:
    """The values of one metric, one per host, in no particular order. Lists, because an object per value takes longer than all the rest."""

    hosts: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(slots=True)
class NewestLoaded:
    """``columns`` by metric. Hosts and metrics without a fresh value are absent."""

    columns: dict[str, NewestColumn] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, host: str, metric: str, value: Value) -> None:
        column = self.columns.setdefault(metric, NewestColumn())
        column.hosts.append(host)
        column.times.append(value.time)
        column.values.append(value.value)

    def by_host(self) -> dict[str, dict[str, Value]]:
        found: dict[str, dict[str, Value]] = {}
        for metric, column in self.columns.items():
            for host, time, value in zip(column.hosts, column.times, column.values, strict=True):
                found.setdefault(host, {})[metric] = Value(time, value)
        return found

    def problem(self, metric: str, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{metric}: {text}"[:500])


def combined(metric: Metric, parts: Mapping[str, Value]) -> Value:
    """The value of a host from those of its elements. An element that fell behind by more than a timestep and a half is left out.

    Raises ValueError when the metric has no aggregation.
    """
    newest = max(part.time for part in parts.values())
    values = [part.value for part in parts.values() if part.time >= newest - 1.5 * metric.timestep]
    if len(values) == 1:
        return Value(newest, values[0])
    if metric.aggregation not in ("sum", "avg"):
        raise ValueError("several elements, but the metric has no aggregation")
    return Value(newest, sum(values) / (len(values) if metric.aggregation == "avg" else 1))
