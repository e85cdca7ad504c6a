"""Statistics, footprint and energy of a job, computed from its metric data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.clusters import Metric
from shared.metricdata.arithmetic import round2
from shared.metricdata.model import JobData, MetricData, Series, Statistics, Unit
from shared.metricdata.postprocess import postprocess

PREFIX_FACTOR = {"": 1.0, "m": 1e-3, "u": 1e-6, "K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_WATT_HOURS_PER_KWH = 1000.0
_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Results:
    """``energy`` in kWh, total and by metric. ``data`` is the data to archive."""

    statistics: Mapping[str, tuple[Unit, Statistics]]
    footprint: dict[str, float]
    energy_footprint: dict[str, float]
    energy: float
    data: JobData

    def statistics_document(self) -> dict[str, Any]:
        """``statistics`` of meta.json."""
        return {
            metric: {
                "unit": {"base": unit.base} | ({"prefix": unit.prefix} if unit.prefix else {}),
                "avg": found.avg,
                "min": found.min,
                "max": found.max,
            }
            for metric, (unit, found) in self.statistics.items()
        }

    def without_data(self) -> "Results":
        return replace(self, data={})

    @staticmethod
    def as_sent(
        *, statistics: Mapping[str, Any], footprint: dict[str, float], energy_footprint: dict[str, float], energy: float
    ) -> "Results":
        """Values sent with the job, when there are no metric data."""
        return Results(
            {
                name: (
                    Unit(found.get("unit", {}).get("base", ""), found.get("unit", {}).get("prefix", "")),
                    Statistics(float(found.get("avg", 0)), float(found.get("min", 0)), float(found.get("max", 0))),
                )
                for name, found in statistics.items()
            },
            footprint,
            energy_footprint,
            energy,
            {},
        )


def results_of(data: JobData, metrics: Sequence[Metric], *, num_nodes: int, duration_s: int) -> Results:
    """All values of the archive entry. ``metrics`` are the effective ones of the job's subcluster."""
    data = postprocess(data)
    known = {metric.name: metric for metric in metrics}
    statistics = {
        name: (scopes["node"].unit, job_statistics(scopes["node"], num_nodes)) for name, scopes in sorted(data.items()) if "node" in scopes
    }
    energy_footprint = {
        name: energy_kwh(known[name], data[name], found, num_nodes=num_nodes, duration_s=duration_s)
        for name, (_, found) in statistics.items()
        if name in known and known[name].energy
    }
    return Results(
        statistics=statistics,
        footprint=footprint(metrics, {name: found for name, (_, found) in statistics.items()}),
        energy_footprint=energy_footprint,
        energy=round2(sum(energy_footprint.values())),
        data=data,
    )


def job_statistics(node: MetricData, num_nodes: int) -> Statistics:
    """Over the nodes. A node without samples counts as 0 in the average, so that avg times nodes is the measured sum; it does
    not affect min and max."""
    return Statistics(
        avg=round2(sum(series.statistics.avg for series in node.series) / max(num_nodes, 1)),
        min=min(series.statistics.min for series in node.series),
        max=max(series.statistics.max for series in node.series),
    )


def footprint(metrics: Sequence[Metric], statistics: Mapping[str, Statistics]) -> dict[str, float]:
    """``<metric>_<statistic>`` as configured on the subcluster; a metric without data is absent, because 0 is a valid measurement."""
    return {
        f"{metric.name}_{metric.footprint}": getattr(statistics[metric.name], metric.footprint)
        for metric in metrics
        if metric.footprint and metric.name in statistics
    }


def energy_kwh(metric: Metric, scopes: Mapping[str, MetricData], found: Statistics, *, num_nodes: int, duration_s: int) -> float:
    """kWh of one metric, two decimals. Kind ``power`` is in watts, kind ``energy`` in joules per timestep.

    The unit's prefix is applied. With aggregation ``avg`` the node value is the mean of its devices, so these are summed.
    """
    factor = PREFIX_FACTOR.get(metric.unit.prefix, 1.0)
    total = found.avg * num_nodes
    devices: tuple[Series, ...] = scopes["accelerator"].series if "accelerator" in scopes else ()
    if devices and metric.aggregation == "avg":
        total = sum(series.statistics.avg for series in devices)
    if metric.energy == "energy":
        timestep = (scopes["node"].timestep if "node" in scopes else 0) or metric.timestep
        return round2(total * factor * (duration_s / timestep) / _JOULES_PER_KWH)
    return round2(total * factor * (duration_s / 3600.0) / _WATT_HOURS_PER_KWH)
