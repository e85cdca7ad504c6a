"""The course of a metric during a job, averaged over its nodes: whether it grows, ends, or alternates with another metric. Pure."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.metricdata.model import FloatArray
from shared.metricdata.postprocess import matrix

PARTS = 8  # of the time, to see a course
QUIET_SHARE = 0.02  # of the highest value; below it nothing happens
FIELDS = ("growth", "growth_s", "rises", "quiet_s", "series")  # fields that need samples


@dataclass(frozen=True, slots=True)
class Course:
    """The mean over the nodes at each timestep; NaN if there is no sample."""

    values: FloatArray
    timestep: int


def course_of(rows: Sequence[FloatArray], timestep: int) -> dict[str, Any]:
    """``rows`` are the samples of the nodes. Empty for a job with too few samples to see a course.

    ``growth`` is the last eighth of the time relative to the second, ``growth_s`` the seconds from the second eighth to the end;
    ``rises`` the share of eighths that are higher than the one before; ``quiet_s`` how many seconds nothing happens at the end;
    ``series`` the course itself, for ``correlation``.
    """
    values = _mean(rows)
    steps = np.flatnonzero(~np.isnan(values))
    if steps.size < PARTS * 2:
        return {}
    present = values[steps]
    parts = [float(part.mean()) for part in np.array_split(present, PARTS)]
    rises = sum(later > earlier for earlier, later in itertools.pairwise(parts)) / (PARTS - 1)
    active = steps[present > QUIET_SHARE * float(np.abs(present).max())]
    quiet = int(steps[-1] - active[-1]) if active.size else int(steps[-1] - steps[0]) + 1
    return {
        "growth": (parts[-1] - parts[1]) / parts[1] if parts[1] > 0 else 0.0,
        "growth_s": float((steps[-1] - steps[steps.size // PARTS] + 1) * timestep),
        "rises": rises,
        "quiet_s": float(quiet * timestep),
        "series": Course(values, timestep),
    }


def correlation(one: Course, other: Course) -> float:
    """Pearson's, over the steps of the coarser of the two. Raises ValueError for a constant or too short course."""
    step = max(one.timestep, other.timestep)
    first, second = _on(one, step), _on(other, step)
    length = min(first.size, second.size)
    both = np.vstack((first[:length], second[:length]))
    both = both[:, ~np.isnan(both).any(axis=0)]
    if both.shape[1] < PARTS * 2 or (both.std(axis=1) == 0).any():
        raise ValueError("the courses are too short, or one of them does not change")
    first, second = both - both.mean(axis=1, keepdims=True)
    return float((first * second).mean() / (first.std() * second.std()))


def _on(course: Course, step: int) -> FloatArray:
    """Means over ``step`` seconds."""
    count = max(1, step // course.timestep)
    return _mean_of_columns(course.values[: course.values.size // count * count].reshape(-1, count).T)


def _mean(rows: Sequence[FloatArray]) -> FloatArray:
    """Over the nodes, step by step, of the values that exist."""
    return _mean_of_columns(matrix(rows))


def _mean_of_columns(values: FloatArray) -> FloatArray:
    counts = (~np.isnan(values)).sum(axis=0)
    return np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
