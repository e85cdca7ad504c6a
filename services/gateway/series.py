"""Choosing and completing the time series of one archived job. Source: metrics specification, 3.6."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.metricdata.model import SCOPE_RANK, FloatArray
from shared.metricdata.numbers import round2, statistics_of

Json = dict[str, Any]

FEWEST_SERIES_WITH_STATISTICS = 8
FEWEST_VALUES_OF_A_STEP = 3
# Rates that add up over the parts of a node.
SUMMED_TO_NODE = ("flops_any", "mem_bw")


def select_data(document: Json, metrics: Sequence[str] | None, scope: str) -> Json:
    """Metric to scope to series as the interface gives them; ``metrics`` None means all. Unknown metrics are skipped.

    A metric that was stored in several scopes is reduced to ``scope``, unless it does not have it.
    """
    wanted = document if metrics is None else {name: document[name] for name in dict.fromkeys(metrics) if name in document}
    result: Json = {}
    for name, scopes in wanted.items():
        if not isinstance(scopes, dict):
            continue  # the schema allows a list for ``filesystems``, which holds no series
        chosen = {scope: scopes[scope]} if scope in scopes else dict(scopes)
        if scope == "node" and name in SUMMED_TO_NODE and chosen and "node" not in chosen:
            chosen["node"] = summed_to_node(chosen[max(chosen, key=lambda found: SCOPE_RANK.get(found, 0))])
        result[name] = {found: _complete(metric) for found, metric in chosen.items()}
    return result


def _complete(metric: Json) -> Json:
    series = metric.get("series") or []
    rounded = [one | {"statistics": {key: round2(float(value)) for key, value in (one.get("statistics") or {}).items()}} for one in series]
    completed = metric | {"series": rounded}
    if len(series) >= FEWEST_SERIES_WITH_STATISTICS and not metric.get("statisticsSeries"):
        completed["statisticsSeries"] = statistics_series([_samples(one) for one in series])
    return completed


def _samples(series: Json) -> FloatArray:
    return np.array(series.get("data") or [], dtype=np.float64)  # null becomes NaN


def statistics_series(series: Sequence[FloatArray]) -> Json:
    """Least, median and greatest value of each step over all series that have one; null where fewer than three have."""
    grid = np.full((len(series), max(map(len, series))), np.nan)
    for row, samples in zip(grid, series, strict=True):
        row[: len(samples)] = samples
    enough = (~np.isnan(grid)).sum(axis=0) >= FEWEST_VALUES_OF_A_STEP
    empty = np.full(grid.shape[1], np.nan)
    result: Json = {"mean": None}
    for name, compute in (("median", np.nanmedian), ("min", np.nanmin), ("max", np.nanmax)):
        values = empty.copy()
        if enough.any():
            values[enough] = compute(grid[:, enough], axis=0)
        result[name] = _numbers(values)
    return result


def summed_to_node(metric: Json) -> Json:
    """One series per host: the sums of its parts, missing where all of them are."""
    by_host: dict[str, list[FloatArray]] = {}
    for one in metric.get("series") or []:
        by_host.setdefault(one["hostname"], []).append(_samples(one))
    series = []
    for host, parts in by_host.items():
        grid = np.full((len(parts), max(map(len, parts))), np.nan)
        for row, samples in zip(grid, parts, strict=True):
            row[: len(samples)] = samples
        total = np.where(np.isnan(grid).all(axis=0), np.nan, np.nansum(grid, axis=0))
        found = statistics_of(total)
        statistics = {"min": found.min, "avg": found.avg, "max": found.max} if found else {"min": 0.0, "avg": 0.0, "max": 0.0}
        series.append({"hostname": host, "statistics": statistics, "data": _numbers(total)})
    return {key: value for key, value in metric.items() if key != "statisticsSeries"} | {"series": series}


def _numbers(values: FloatArray) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 2) for value in values.tolist()]
