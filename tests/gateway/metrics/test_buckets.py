"""Reduction to buckets: the samples of each bucket, and every series stays inside its band."""

import math

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.metrics.model import numbers, short_numbers
from shared.archive import render_data
from shared.metricdata import JobData, MetricData, Series, Statistics, Unit
from shared.metricdata.arithmetic import significant, statistics_of
from shared.metricdata.bands import bands_of, fewer_points
from shared.metricdata.buckets import bucket_size, bucketed, each_bucketed
from shared.metricdata.model import FloatArray
from shared.metricdata.postprocess import rounded

SAMPLES = st.floats(-1e12, 1e12, allow_subnormal=False) | st.floats(0, 1) | st.just(math.nan)


@st.composite
def metrics(draw: st.DrawFn) -> MetricData:
    """Series of different lengths, with gaps."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=9))
    rows = [np.array(draw(st.lists(SAMPLES, min_size=length, max_size=length))) for length in lengths]
    return MetricData(Unit(), 60, tuple(Series(f"n{n}", None, Statistics(0, 0, 0), row) for n, row in enumerate(rows)))


def written(values: FloatArray | None) -> list[float | None]:
    """The values as clients read them."""
    assert values is not None
    found: list[float | None] = orjson.loads(short_numbers(values).text)
    return found


@settings(max_examples=200, deadline=None)
@given(metrics(), st.integers(1, 50))
def test_every_series_is_inside_its_band_with_every_number_of_points(metric: MetricData, points: int) -> None:
    reduced = bucketed(metric, points)
    band = reduced.statistics_series
    assert band is not None
    longest = max(series.data.size for series in metric.series)
    size = reduced.timestep // metric.timestep
    low, median, mean, high = (written(line) for line in (band.min, band.median, band.mean, band.max))
    assert len(low) == -(-longest // size) <= points
    for start, bucket in zip(range(0, longest, size), range(len(low)), strict=True):
        samples = np.concatenate([series.data[start : start + size] for series in metric.series])
        present = samples[~np.isnan(samples)]
        lines = [low[bucket], mean[bucket], median[bucket], high[bucket]]
        if not present.size:
            assert lines == [None] * 4
            continue
        assert (low[bucket], high[bucket]) == (written(present.min(keepdims=True))[0], written(present.max(keepdims=True))[0])
        for one in [*lines, *(written(series.data)[bucket] for series in reduced.series if bucket < series.data.size)]:
            assert one is None or low[bucket] <= one <= high[bucket]  # type: ignore[operator]


@settings(max_examples=50, deadline=None)
@given(metrics(), st.integers(1, 50), st.integers(1, 50))
def test_a_band_that_is_reduced_again_covers_the_same_samples(metric: MetricData, points: int, fewer: int) -> None:
    data: JobData = {"m": {"node": metric}}
    band = fewer_points(bands_of(data, points)["m"], fewer)
    size = band.timestep // metric.timestep
    low, high = written(band.min), written(band.max)
    longest = max(series.data.size for series in metric.series)
    assert len(low) == len(high) == -(-longest // size) <= min(points, fewer)
    for bucket, start in enumerate(range(0, longest, size)):
        samples = np.concatenate([series.data[start : start + size] for series in metric.series])
        present = samples[~np.isnan(samples)]
        expected = [written(present.min(keepdims=True))[0], written(present.max(keepdims=True))[0]] if present.size else [None, None]
        assert [low[bucket], high[bucket]] == expected


@pytest.mark.parametrize(
    ("samples", "points", "size"), [(0, 5, 1), (1, 5, 1), (5, 5, 1), (6, 5, 2), (10, 5, 2), (11, 5, 3), (1441, 64, 23), (7, 1, 7)]
)
def test_the_size_of_a_bucket(samples: int, points: int, size: int) -> None:
    assert bucket_size(samples, points) == size


@pytest.mark.parametrize(
    ("value", "short"),
    [(0.0, "0"), (1.23456, "1.235"), (-1.23456, "-1.235"), (9999.6, "10000"), (123456.7, "123500"), (1.23456e-7, "1.235e-7")],
)
def test_numbers_have_four_significant_digits(value: float, short: str) -> None:
    assert short_numbers(np.array([value])).text == f"[{short}]".encode()
    assert significant(np.array([value]))[0] == float(short)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9) | st.integers(-10_000, 10_000).map(lambda n: n / 1000), min_size=1))
def test_samples_are_rounded_as_their_extremes_and_as_in_the_archive(values: list[float]) -> None:
    data = np.array(values)
    answered: list[float] = orjson.loads(numbers(data).text)
    found = statistics_of(data)
    assert found is not None
    assert (min(answered), max(answered)) == (rounded(found).min, rounded(found).max)
    text = render_data({"m": {"node": MetricData(Unit(), 60, (Series("n", None, Statistics(0, 0, 0), data),))}})
    assert orjson.loads(text)["m"]["node"]["series"][0]["data"] == answered


def test_missing_and_infinite_values_are_null() -> None:
    assert short_numbers(np.array([])).text == b"[]"
    assert short_numbers(np.array([10.0, 0.5, 100.0])).text == b"[10,0.5,100]"
    assert short_numbers(np.array([math.nan, math.inf, 1])).text == b"[null,null,1]"


def test_metrics_without_node_values_are_shown_in_their_coarsest_scope() -> None:
    def measured(*values: float) -> MetricData:
        rows = (Series("n1", str(n), Statistics(0, 0, 0), np.array([value])) for n, value in enumerate(values))
        return MetricData(Unit(), 60, tuple(rows))

    data = {
        "mem_bw": {"socket": measured(1, 2)},
        "temp": {"hwthread": measured(9, 9), "socket": measured(1, 4)},
        "none": {"node": measured()},
    }
    found = bands_of(data, 10)
    assert {name: (band.scope, band.min.tolist(), band.median.tolist(), band.max.tolist()) for name, band in found.items()} == {
        "mem_bw": ("node", [3], [3], [3]),
        "temp": ("socket", [1], [2.5], [4]),
    }


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(0, 40), st.integers(1, 50), st.booleans(), st.booleans())
def test_metrics_of_many_hosts_are_reduced_together_as_each_alone(
    data: st.DataObject, samples: int, points: int, with_samples: bool, with_band: bool
) -> None:
    rows = data.draw(st.lists(st.lists(SAMPLES, min_size=samples, max_size=samples), max_size=4))
    alone = [MetricData(Unit(), 60, (Series(f"n{n}", None, Statistics(0, 0, 0), np.array(row)),)) for n, row in enumerate(rows)]
    together = each_bucketed(alone, points, with_samples=with_samples, with_band=with_band)
    for one, metric in zip(together, alone, strict=True):
        expected = bucketed(metric, points, with_samples=with_samples, with_band=with_band)
        assert one.timestep == expected.timestep
        np.testing.assert_array_equal(one.series[0].data, expected.series[0].data)
        assert (one.statistics_series is None) == (expected.statistics_series is None)
        if one.statistics_series is not None and expected.statistics_series is not None:
            for line in ("min", "median", "max", "mean"):
                np.testing.assert_array_equal(getattr(one.statistics_series, line), getattr(expected.statistics_series, line))
