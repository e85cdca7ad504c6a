"""The newest part of a job's series, for viewers who have the rest. Pure.

Bucket b of a series begins b buckets after the job's start however much of it is returned, so a part fits what was returned before
for as long as the buckets have the same length.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from shared.domain.clusters import Metric
from shared.metricdata.arithmetic import statistics_of
from shared.metricdata.buckets import bucket_size
from shared.metricdata.model import MetricData, Series


@dataclass(frozen=True, slots=True)
class Tail:
    """From sample ``first`` on, which begins a bucket of ``size`` samples, ``first_s`` seconds after the job's start."""

    first: int
    size: int
    first_s: int

    @classmethod
    def of(cls, since_s: int, samples: int, timestep: int, points: int | None) -> "Tail":
        """The bucket that contains ``since_s``, in a series of so many samples; without ``points`` a bucket is one sample."""
        size = 1 if points is None else bucket_size(samples, points)
        first = since_s // (timestep * size) * size
        return cls(first, size, first * timestep)


def tails(metrics: Iterable[Metric], since_s: int, duration: int, points: int | None) -> dict[Tail, list[Metric]]:
    """The metrics of a running job by the part to load. Those with the same timestep are loaded together."""
    found: dict[Tail, list[Metric]] = {}
    for metric in metrics:
        found.setdefault(Tail.of(since_s, duration // metric.timestep, metric.timestep, points), []).append(metric)
    return found


def cut(metric: MetricData, tail: Tail) -> MetricData:
    """Without the samples before the tail. A series without any after it is left out."""
    return replace(metric, series=tuple(_cut(metric.series, tail.first)), statistics_series=None)


def _cut(series: Sequence[Series], first: int) -> Iterable[Series]:
    for one in series:
        data = one.data[first:]
        statistics = statistics_of(data)
        if statistics is not None:
            yield replace(one, data=data, statistics=statistics)
