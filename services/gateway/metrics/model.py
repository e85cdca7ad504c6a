"""Metric data of answers. Samples are JSON text: serialised once, then cached and copied into answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from shared.metricdata.arithmetic import rounded
from shared.metricdata.model import FloatArray, JobData, MetricData, Statistics, Unit
from shared.metricdata.short import short_text

_BYTES_PER_OBJECT = 400


@dataclass(frozen=True, slots=True)
class Numbers:
    """A list of rounded numbers as JSON text. Missing samples are null."""

    text: bytes

    @property
    def fragment(self) -> orjson.Fragment:
        return orjson.Fragment(self.text)


@dataclass(frozen=True, slots=True)
class SeriesText:
    """``data`` is None if samples were not selected."""

    hostname: str
    id: str | None
    statistics: Statistics
    data: Numbers | None


@dataclass(frozen=True, slots=True)
class BandText:
    """Statistics per timestep over all series. ``mean`` exists only if the archive has it."""

    mean: Numbers | None
    median: Numbers | None
    min: Numbers
    max: Numbers


@dataclass(frozen=True, slots=True)
class MetricText:
    """``first_s``: where the first value begins, seconds after the start of the job or of the requested time."""

    unit: Unit
    timestep: int
    series: Sequence[SeriesText]
    statistics_series: BandText | None
    first_s: int = 0


@dataclass(frozen=True, slots=True)
class NamedMetric:
    """One metric in one scope."""

    name: str
    scope: str
    metric: MetricText

    @property
    def size(self) -> int:
        """Approximate, in bytes."""
        band = self.metric.statistics_series
        texts = [one.data for one in self.metric.series] + ([band.mean, band.median, band.min, band.max] if band else [])
        return _BYTES_PER_OBJECT * (len(self.metric.series) + 1) + sum(len(one.text) for one in texts if one is not None)


def numbers(values: FloatArray, decimals: int = 2) -> Numbers:
    return Numbers(orjson.dumps(np.ascontiguousarray(rounded(values, decimals)), option=orjson.OPT_SERIALIZE_NUMPY))


def short_numbers(values: FloatArray) -> Numbers:
    """With four significant digits."""
    return Numbers(short_text(values))


Rendering = Callable[[FloatArray], Numbers]


def named_metrics(data: JobData, *, with_samples: bool = True, with_band: bool = True, rendering: Rendering = numbers) -> list[NamedMetric]:
    """In the order of ``data``."""
    return [
        NamedMetric(name, scope, metric_text(metric, with_samples=with_samples, with_band=with_band, rendering=rendering))
        for name, scopes in data.items()
        for scope, metric in scopes.items()
    ]


def metric_text(metric: MetricData, *, with_samples: bool = True, with_band: bool = True, rendering: Rendering = numbers) -> MetricText:
    band = metric.statistics_series if with_band else None
    return MetricText(
        metric.unit,
        metric.timestep,
        [SeriesText(one.hostname, one.id, one.statistics, rendering(one.data) if with_samples else None) for one in metric.series],
        None
        if band is None
        else BandText(
            mean=None if band.mean is None else rendering(band.mean),
            median=None if band.median is None else rendering(band.median),
            min=rendering(band.min),
            max=rendering(band.max),
        ),
    )
