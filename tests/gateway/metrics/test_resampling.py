"""Largest triangle three buckets: check vectors and edge cases."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.metrics.resampling import Resolution, resampled
from shared.metricdata import MetricData, Series, Statistics, StatisticsSeries, Unit
from shared.metricdata.lttb import bucket_starts, lttb
from shared.metricdata.postprocess import statistics_series

ROW = [float(n % 7) for n in range(60)]
REDUCED = [0, 5, 0, 6, 0, 6, 2, 0, 6, 0, 6, 3]
REDUCED_WITH_GAP = [0, 5, 0, 3, None, 1, 6, 0, 6, 0, 6, 3]


def test_check_vectors_are_reduced_as_specified() -> None:
    with_gap = [*ROW[:20], math.nan, *ROW[21:]]
    reduced = lttb(np.array([ROW, with_gap, ROW]), 12)
    assert [[None if math.isnan(value) else value for value in row] for row in reduced.tolist()] == [REDUCED, REDUCED_WITH_GAP, REDUCED]


@pytest.mark.parametrize(
    ("resolution", "timestep", "samples", "kept"),
    [
        (Resolution(0), 60, 5000, None),
        (Resolution(60), 60, 5000, None),
        (Resolution(30), 60, 5000, None),
        (Resolution(90), 60, 5000, None),
        (Resolution(600), 0, 5000, None),
        (Resolution(600), 60, 999, None),
        (Resolution(600), 60, 1000, 100),
        (Resolution(600, 10), 60, 19, 2),  # only one bucket would remain: the first and the last sample
        (Resolution(600, 3), 60, 9, None),
    ],
)
def test_a_reduced_series_has_the_expected_number_of_samples(resolution: Resolution, timestep: int, samples: int, kept: int | None) -> None:
    assert resolution.points(timestep, samples) == kept


@pytest.mark.parametrize("kept", [2, 3, 4, 19])
def test_reduced_series_include_both_ends_and_only_measured_samples_in_order(kept: int) -> None:
    row = np.arange(20, dtype=np.float64) ** 2
    (reduced,) = lttb(row[None, :], kept).tolist()
    assert (len(reduced), reduced[0], reduced[-1]) == (kept, row[0], row[-1])
    assert set(reduced) <= set(row.tolist())
    assert reduced == sorted(reduced)


SAMPLES = st.floats(-1e6, 1e6) | st.just(math.nan)


@settings(max_examples=200)
@given(st.data(), st.integers(3, 60), st.integers(1, 12), st.integers(2, 20))
def test_every_series_is_inside_its_band_at_every_resolution(data: st.DataObject, samples: int, series: int, factor: int) -> None:
    """Series of different lengths with gaps; the band is computed here, or was rounded by another writer."""
    lengths = data.draw(st.lists(st.integers(1, samples), min_size=series, max_size=series))
    rows = [np.array(data.draw(st.lists(SAMPLES, min_size=length, max_size=length))) for length in lengths]
    band = statistics_series(rows)
    if data.draw(st.booleans()):
        band = StatisticsSeries(min=np.round(band.min), median=band.median, max=np.round(band.max), mean=band.median)
    measured = MetricData(Unit(), 60, tuple(Series(f"n{n}", None, Statistics(0, 0, 0), row) for n, row in enumerate(rows)), band)
    reduced = resampled({"m": {"node": measured}}, Resolution(60 * factor, 3))["m"]["node"]
    found = reduced.statistics_series
    assert found is not None
    if reduced is measured:
        return
    for one in reduced.series:
        is_shown = ~np.isnan(one.data) & ~np.isnan(found.min)
        assert (found.min[is_shown] <= one.data[is_shown]).all()
        assert (found.max[is_shown] >= one.data[is_shown]).all()
    for line in (found.median, found.mean):
        if line is not None:
            is_shown = ~np.isnan(line) & ~np.isnan(found.min)
            assert (found.min[is_shown] <= line[is_shown] + 1).all()  # rounded bands
            assert (found.max[is_shown] >= line[is_shown] - 1).all()
    gaps = np.isnan(found.min)
    starts = [*bucket_starts(band.min.size, found.min.size), band.min.size]
    assert [bool(np.isnan(band.min[start:end]).any()) for start, end in itertools.pairwise(starts)] == gaps.tolist()
