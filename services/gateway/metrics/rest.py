"""Metric data as objects of the REST API."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from services.gateway.metrics.model import BandText, MetricText, NamedMetric, Numbers, SeriesText

Json = dict[str, Any]


def by_name_and_scope(metrics: Iterable[NamedMetric]) -> Json:
    result: Json = {}
    for one in metrics:
        result.setdefault(one.name, {})[one.scope] = metric_object(one.metric)
    return result


def as_list(metrics: Sequence[NamedMetric]) -> list[Json]:
    return [{"name": one.name, "scope": one.scope, "metric": metric_object(one.metric)} for one in metrics]


def metric_object(metric: MetricText) -> Json:
    unit = {"base": metric.unit.base} | ({"prefix": metric.unit.prefix} if metric.unit.prefix else {})
    result: Json = {"unit": unit, "timestep": metric.timestep, "series": [_series(one) for one in metric.series]}
    return result | ({"statisticsSeries": _band(metric.statistics_series)} if metric.statistics_series is not None else {})


def _series(series: SeriesText) -> Json:
    found = series.statistics
    element = {} if series.id is None else {"id": series.id}
    statistics = {"min": found.min, "avg": found.avg, "max": found.max}
    return {"hostname": series.hostname} | element | {"statistics": statistics, "data": _text(series.data)}


def _band(band: BandText) -> Json:
    return {"mean": _list(band.mean), "median": _list(band.median), "min": _list(band.min), "max": _list(band.max)}


def _list(numbers: Numbers | None) -> orjson.Fragment | list[float]:
    """Clients expect a list, so a missing line is an empty one."""
    return [] if numbers is None else numbers.fragment


def _text(numbers: Numbers | None) -> orjson.Fragment | None:
    return None if numbers is None else numbers.fragment
