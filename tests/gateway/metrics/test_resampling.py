"""Largest triangle three buckets, on the check vectors and at the borders."""

import math

import numpy as np
import pytest

from services.gateway.metrics.resampling import Resolution, lttb

ROW = [float(n % 7) for n in range(60)]
REDUCED = [0, 5, 0, 6, 0, 6, 2, 0, 6, 0, 6, 3]
REDUCED_WITH_GAP = [0, 5, 0, 3, None, 1, 6, 0, 6, 0, 6, 3]


def test_check_vectors_also_side_by_side() -> None:
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
        (Resolution(600, 10), 60, 19, 2),  # one bucket would be left: the first and the last sample
        (Resolution(600, 3), 60, 9, None),
    ],
)
def test_how_many_are_kept(resolution: Resolution, timestep: int, samples: int, kept: int | None) -> None:
    assert resolution.points(timestep, samples) == kept


@pytest.mark.parametrize("kept", [2, 3, 4, 19])
def test_the_ends_are_always_kept_and_every_sample_is_an_original_in_order(kept: int) -> None:
    row = np.arange(20, dtype=np.float64) ** 2
    (reduced,) = lttb(row[None, :], kept).tolist()
    assert (len(reduced), reduced[0], reduced[-1]) == (kept, row[0], row[-1])
    assert set(reduced) <= set(row.tolist())
    assert reduced == sorted(reduced)
