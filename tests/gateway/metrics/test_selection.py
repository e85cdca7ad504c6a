"""Selecting scopes, series and resolution from loaded metric data."""

import math

import numpy as np
import pytest

from services.gateway.metrics.model import named_metrics
from services.gateway.metrics.resampling import Resolution
from services.gateway.metrics.selection import MetricSelection, chosen_scopes, completed
from shared.metricdata import JobData, MetricData, Series, Statistics, Unit
from shared.metricdata.arithmetic import statistics_of

NAN = math.nan


def series(host: str, *data: float, element: str | None = None) -> Series:
    values = np.array(data, dtype=np.float64)
    return Series(host, element, statistics_of(values) or Statistics(0, 0, 0), values)


def metric(*found: Series, timestep: int = 60) -> MetricData:
    return MetricData(Unit("F/s", "G"), timestep, found or (series("n1", 1.0),))


def values(data: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in data.tolist()]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("node",), {"a": {"node"}, "b": {"socket", "core"}, "c": {"core"}}),
        (("core",), {"a": {"core"}, "b": {"core"}, "c": {"core"}}),
        (("socket", "node"), {"a": {"node"}, "b": {"socket"}, "c": {"core"}}),
        (None, {"a": {"node", "core"}, "b": {"socket", "core"}, "c": {"core"}}),
        ((), {"a": {"node", "core"}, "b": {"socket", "core"}, "c": {"core"}}),
    ],
)
def test_selected_scopes_are_returned_or_all_if_none_is_stored(wanted: tuple[str, ...] | None, found: dict[str, set[str]]) -> None:
    data: JobData = {
        "a": {"node": metric(), "core": metric()},
        "b": {"socket": metric(), "core": metric()},
        "c": {"core": metric()},
    }
    assert {name: set(scopes) for name, scopes in chosen_scopes(data, MetricSelection(scopes=wanted)).items()} == found


def test_rates_of_parts_are_summed_per_node_before_statistics() -> None:
    parts = metric(series("n1", 1.0, NAN, 3.0, element="0"), series("n1", 2.0, NAN, element="1"), series("n2", 5.0))
    found = completed({"mem_bw": {"socket": parts}, "ipc": {"socket": parts}}, MetricSelection(scopes=("node",)))
    node = found["mem_bw"]["node"]
    assert [(one.hostname, one.id, values(one.data)) for one in node.series] == [("n1", None, [3.0, None, 3.0]), ("n2", None, [5.0])]
    assert node.series[0].statistics == Statistics(3.0, 3.0, 3.0)
    assert set(found["ipc"]) == {"socket"}
    assert set(completed({"mem_bw": {"socket": parts}}, MetricSelection(scopes=("socket",)))["mem_bw"]) == {"socket"}


def test_the_band_needs_eight_series_skips_missing_samples_and_needs_three_values() -> None:
    rows = [series(f"n{n}", *row) for n, row in enumerate(([1.0, 1.0, 9.0], [2.0, NAN], [6.0, 3.0], [NAN, 8.0]))]
    silent = [series(f"s{n}", NAN) for n in range(4)]
    band = completed({"a": {"node": metric(*rows, *silent)}}, MetricSelection())["a"]["node"].statistics_series
    assert band is not None
    assert band.median is not None
    assert [values(row) for row in (band.min, band.median, band.max)] == [[1.0, 1.0, None], [2.0, 3.0, None], [6.0, 8.0, None]]
    assert completed({"a": {"node": metric(*rows, *silent[1:])}}, MetricSelection())["a"]["node"].statistics_series is None
    assert completed({"a": {"node": metric(*rows, *silent)}}, MetricSelection(with_band=False))["a"]["node"].statistics_series is None


def test_statistics_and_samples_have_two_decimals_and_a_metric_without_series_is_left_out() -> None:
    found = named_metrics(
        completed({"a": {"node": metric(series("n1", 1.23456, NAN))}, "b": {"node": MetricData(Unit(), 60, ())}}, MetricSelection())
    )
    (only,) = found
    assert (only.name, only.scope, only.metric.series[0].statistics) == ("a", "node", Statistics(1.23, 1.23, 1.23))
    assert only.metric.series[0].data is not None
    assert only.metric.series[0].data.text == b"[1.23,null]"


def test_samples_that_are_not_selected_are_not_serialised() -> None:
    (only,) = named_metrics({"a": {"node": metric()}}, with_samples=False)
    assert only.metric.series[0].data is None


def test_a_reduced_series_has_unchanged_statistics_and_an_unfit_timestep_is_not_reduced() -> None:
    long = [float(n % 7) for n in range(60)]
    data: JobData = {
        "fit": {"node": metric(*(series(f"n{n}", *long) for n in range(8)))},
        "unfit": {"node": metric(series("n1", *long), timestep=45)},
        "short": {"node": metric(series("n1", 1.0, 2.0))},
    }
    found = completed(data, MetricSelection(resolution=Resolution(300, 10)))
    fit = found["fit"]["node"]
    assert fit.timestep == 300
    assert values(fit.series[0].data) == [0, 5, 0, 6, 0, 6, 2, 0, 6, 0, 6, 3]
    assert fit.statistics_series is not None
    assert len(fit.statistics_series.min) == len(fit.statistics_series.max) == 12
    assert (fit.series[0].statistics.min, fit.series[0].statistics.max) == (0, 6)
    assert [(found[name]["node"].timestep, len(found[name]["node"].series[0].data)) for name in ("unfit", "short")] == [(45, 60), (60, 2)]
