"""The short way from the archive to an answer: metrics that are given just as they are stored, without arithmetic."""

from collections.abc import Mapping
from typing import Any

import orjson

from services.gateway.metrics.model import BandText, MetricText, NamedMetric, Numbers, SeriesText
from services.gateway.metrics.selection import NODE, Wanted
from shared.metricdata.model import Statistics, Unit
from shared.metricdata.numbers import round2
from shared.metricdata.postprocess import SERIES_FOR_STATISTICS, SUMMED_METRICS

Json = dict[str, Any]
_SAMPLE_TYPES = frozenset({float, int, type(None)})


def is_as_stored(name: str, scopes: Mapping[str, Json], wanted: Wanted) -> bool:
    """Nothing is to be summed, reduced, or computed over the series."""
    if name in SUMMED_METRICS and wanted.wants_node and NODE not in scopes:
        return False
    return all(_is_complete(metric, wanted) for metric in scopes.values())


def _is_complete(metric: Json, wanted: Wanted) -> bool:
    series = metric.get("series") or []
    if wanted.with_band and len(series) >= SERIES_FOR_STATISTICS and not metric.get("statisticsSeries"):
        return False
    longest = max((len(one.get("data") or ()) for one in series), default=0)
    return wanted.resolution.points(int(metric["timestep"]), longest) is None


def stored_metric(name: str, scope: str, metric: Json, wanted: Wanted) -> NamedMetric:
    """Raises TypeError, ValueError, KeyError or AttributeError when the metric is none."""
    unit = metric.get("unit") or {}
    series = [_series(one, with_samples=wanted.with_samples) for one in metric["series"]]
    band = metric.get("statisticsSeries") if wanted.with_band else None
    text = MetricText(
        Unit(str(unit.get("base") or ""), str(unit.get("prefix") or "")), int(metric["timestep"]), series, None if not band else _band(band)
    )
    return NamedMetric(name, scope, text)


def _series(found: Json, *, with_samples: bool) -> SeriesText:
    statistics = found.get("statistics") or {}
    return SeriesText(
        str(found["hostname"]),
        None if found.get("id") is None else str(found["id"]),
        Statistics(*(round2(float(statistics.get(key) or 0.0)) for key in ("avg", "min", "max"))),
        _samples(found.get("data")) if with_samples else None,
    )


def _band(found: Json) -> BandText:
    mean, median = (None if found.get(key) is None else _samples(found[key]) for key in ("mean", "median"))
    return BandText(mean=mean, median=median, min=_samples(found.get("min")), max=_samples(found.get("max")))


def _samples(values: list[Any] | None) -> Numbers:
    if values and not _SAMPLE_TYPES.issuperset(map(type, values)):
        raise TypeError("a sample is no number")
    return Numbers(orjson.dumps(values or []))
