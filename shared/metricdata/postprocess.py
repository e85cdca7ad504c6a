"""Completes loaded metric data: statistics over the series, and node values of two metrics. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from shared.metricdata.arithmetic import round2, statistics_of
from shared.metricdata.model import SCOPE_RANK, FloatArray, JobData, MetricData, Series, Statistics, StatisticsSeries

SERIES_FOR_STATISTICS = 8
VALUES_PER_STEP = 3  # fewer values do not describe a spread
SUMMED_METRICS = ("flops_any", "mem_bw")  # rates that add up over the parts of a node


def postprocess(data: JobData) -> JobData:
    """Adds statistics series from 8 series on and the node scope of flops_any and mem_bw; rounds statistics to two decimals."""
    result: JobData = {}
    for name, scopes in data.items():
        if name in SUMMED_METRICS and "node" not in scopes and scopes:
            scopes = {**scopes, "node": sum_per_host(scopes[coarsest(scopes)])}
        result[name] = {scope: finished(metric) for scope, metric in scopes.items() if metric.series}
    return {name: scopes for name, scopes in result.items() if scopes}


def finished(metric: MetricData, *, with_band: bool = True) -> MetricData:
    """Rounds statistics, and adds the statistics series if it is missing and ``with_band``."""
    statistics = metric.statistics_series
    if with_band and statistics is None and len(metric.series) >= SERIES_FOR_STATISTICS:
        statistics = statistics_series([series.data for series in metric.series])
    return replace(
        metric,
        series=tuple(replace(series, statistics=rounded(series.statistics)) for series in metric.series),
        statistics_series=statistics,
    )


def rounded(found: Statistics) -> Statistics:
    """Extremes are rounded like samples, so that they are among them."""
    return Statistics(round2(found.avg), round(found.min, 2), round(found.max, 2))


def matrix(rows: Sequence[FloatArray]) -> FloatArray:
    """The rows as one array. Shorter rows are padded with NaN."""
    longest = max((row.size for row in rows), default=0)
    result = np.full((len(rows), longest), np.nan)
    for index, row in enumerate(rows):
        result[index, : row.size] = row
    return result


def statistics_series(rows: Sequence[FloatArray], values_per_step: int = VALUES_PER_STEP) -> StatisticsSeries:
    """Minimum, median and maximum of each step over the existing samples; NaN with fewer than ``values_per_step``."""
    values = matrix(rows)
    present = np.isfinite(values)
    counts = present.sum(axis=0)
    is_enough = counts >= values_per_step
    ordered = np.sort(np.where(present, values, np.inf), axis=0)  # missing samples last

    def pick(index: FloatArray) -> FloatArray:
        if ordered.size == 0:
            return np.empty(0)
        chosen = np.take_along_axis(ordered, np.maximum(index, 0).astype(np.intp)[None, :], axis=0)[0]
        return np.where(is_enough, chosen, np.nan)

    median = (pick((counts - 1) // 2) + pick(counts // 2)) / 2.0
    return StatisticsSeries(min=pick(np.zeros_like(counts)), median=median, max=pick(counts - 1))


def combine(rows: Sequence[FloatArray], aggregation: str) -> FloatArray:
    """Sum or mean of the series of several elements, step by step.

    A sample missing inside a series makes the step NaN, since the sum would be too small. Steps before an element's first
    and after its last sample are ignored, so a failed device does not invalidate the others.
    """
    values = matrix(rows)
    present = ~np.isnan(values)
    started = np.maximum.accumulate(present, axis=1)
    not_ended = np.maximum.accumulate(present[:, ::-1], axis=1)[:, ::-1]
    has_hole = (started & not_ended & ~present).any(axis=0)
    counts = present.sum(axis=0)
    with np.errstate(over="ignore"):  # an infinite sum has no statistics, so the series is left out
        total = np.where(present, values, 0.0).sum(axis=0)
    if aggregation == "avg":
        total = total / np.maximum(counts, 1)
    return np.where(has_hole | (counts == 0), np.nan, total)


def sum_per_host(metric: MetricData) -> MetricData:
    """Node values as the sum of the finer ones, with statistics of the sums."""
    hosts: dict[str, list[FloatArray]] = {}
    for series in metric.series:
        hosts.setdefault(series.hostname, []).append(series.data)
    summed = []
    for hostname, rows in hosts.items():
        total = combine(rows, "sum")
        found = statistics_of(total)
        if found is not None:
            summed.append(Series(hostname, None, found, total))
    return MetricData(metric.unit, metric.timestep, tuple(summed))


def coarsest(scopes: Iterable[str]) -> str:
    return max(scopes, key=lambda scope: SCOPE_RANK.get(scope, 0))


def node_data(name: str, scopes: Mapping[str, MetricData]) -> MetricData | None:
    """The node scope of a metric. If it is not stored, a rate is summed over its coarsest scope; other metrics give None."""
    if "node" in scopes:
        return scopes["node"]
    return sum_per_host(scopes[coarsest(scopes)]) if scopes and name in SUMMED_METRICS else None
