"""Bands for small plots: a bounded number of points per metric, for any number of nodes and samples. Pure."""

from dataclasses import dataclass, replace

from shared.metricdata.buckets import bucket_size, coarser
from shared.metricdata.model import FloatArray, JobData, MetricData, StatisticsSeries, Unit
from shared.metricdata.postprocess import coarsest, node_data, statistics_series


@dataclass(frozen=True, slots=True)
class Band:
    """Minimum, median and maximum over the nodes of a job, or the parts in ``scope``: a value per ``timestep`` seconds from its start."""

    scope: str
    unit: Unit
    timestep: int
    min: FloatArray
    median: FloatArray
    max: FloatArray


def bands_of(data: JobData, points: int) -> dict[str, Band]:
    """One band for each metric with samples, with at most ``points`` values. A metric without node values uses its coarsest scope."""
    found: dict[str, Band] = {}
    for name, scopes in data.items():
        measured = {scope: metric for scope, metric in scopes.items() if any(series.data.size for series in metric.series)}
        if not measured:
            continue
        node = node_data(name, measured)
        scope, metric = ("node", node) if node is not None and node.series else (coarsest(measured), measured[coarsest(measured)])
        found[name] = _band(scope, metric, points)
    return found


def _band(scope: str, metric: MetricData, points: int) -> Band:
    rows = [series.data for series in metric.series]
    size = bucket_size(max(row.size for row in rows), points)
    lines = coarser(statistics_series(rows, values_per_step=1), size)
    assert lines.median is not None
    return Band(scope, metric.unit, metric.timestep * size, lines.min, lines.median, lines.max)


def fewer_points(band: Band, points: int) -> Band:
    """Reduce a band to at most ``points`` values."""
    size = bucket_size(band.min.size, points)
    lines = coarser(StatisticsSeries(band.min, band.median, band.max), size)
    assert lines.median is not None
    return replace(band, timestep=band.timestep * size, min=lines.min, median=lines.median, max=lines.max)
