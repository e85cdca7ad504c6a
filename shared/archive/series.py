"""The metrics of a data file, decoded in two steps: their structure first, samples only where they are needed.

The only parser of data files. Samples stay JSON text until ``metric_data`` converts them to arrays.
"""

import math

import msgspec
import numpy as np

from shared.metricdata.model import FloatArray, MetricData, Series, Statistics, StatisticsSeries, Unit

_NULL = msgspec.Raw(b"null")


class StoredUnit(msgspec.Struct):
    base: str | None = None
    prefix: str | None = None


class StoredStatistics(msgspec.Struct):
    avg: float | None = None
    min: float | None = None
    max: float | None = None


class StoredSeries(msgspec.Struct):
    hostname: str
    id: str | int | None = None
    statistics: StoredStatistics | None = None
    data: msgspec.Raw = _NULL


class StoredBand(msgspec.Struct):
    mean: msgspec.Raw = _NULL
    median: msgspec.Raw = _NULL
    min: msgspec.Raw = _NULL
    max: msgspec.Raw = _NULL


class StoredMetric(msgspec.Struct):
    timestep: int
    unit: StoredUnit | None = None
    series: list[StoredSeries] | None = None
    statistics_series: StoredBand | None = msgspec.field(default=None, name="statisticsSeries")


_SCOPES = msgspec.json.Decoder(dict[str, StoredMetric], strict=False)
_SAMPLES = msgspec.json.Decoder(list[float | None] | None)


def stored_scopes(text: bytes) -> dict[str, StoredMetric]:
    """One metric of a data file by scope. The samples are valid JSON, but not checked to be numbers.

    A list has no scopes: the schema allows one for ``filesystems``. Raises ValueError.
    """
    if text.lstrip().startswith(b"["):
        return {}
    try:
        return _SCOPES.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise ValueError(f"not metric data: {e}") from e


def metric_data(stored: StoredMetric) -> MetricData:
    """The metric with its samples as arrays. Raises ValueError."""
    unit = stored.unit or StoredUnit()
    return MetricData(
        unit=Unit(unit.base or "", unit.prefix or ""),
        timestep=stored.timestep,
        series=tuple(_series(one) for one in stored.series or ()),
        statistics_series=None if stored.statistics_series is None else _band(stored.statistics_series),
    )


def _series(stored: StoredSeries) -> Series:
    found = stored.statistics or StoredStatistics()
    return Series(
        hostname=stored.hostname,
        id=None if stored.id is None else str(stored.id),
        statistics=Statistics(*(value or 0.0 for value in (found.avg, found.min, found.max))),
        data=samples(stored.data),
    )


def _band(stored: StoredBand) -> StatisticsSeries:
    median, mean = (None if bytes(text) == b"null" else samples(text) for text in (stored.median, stored.mean))
    return StatisticsSeries(samples(stored.min), median, samples(stored.max), mean)


def samples(raw: msgspec.Raw) -> FloatArray:
    """None becomes NaN."""
    try:
        values = _SAMPLES.decode(raw) or []
    except msgspec.MsgspecError as e:
        raise ValueError(f"a sample is not a number: {e}") from e
    nothing = math.nan
    numbers = [nothing if value is None else value for value in values]  # faster than numpy's own conversion of None
    return np.fromiter(numbers, np.float64, len(numbers))
