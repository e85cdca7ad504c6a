"""The fast path from the archive to an answer, for metrics that are answered exactly as stored.

Their samples are checked, but not parsed into numbers.
"""

from collections.abc import Mapping

import msgspec

from services.gateway.metrics.model import BandText, MetricText, NamedMetric, Numbers, SeriesText
from services.gateway.metrics.selection import NODE, MetricSelection
from shared.archive.series import StoredBand, StoredMetric, StoredSeries, StoredStatistics, StoredUnit
from shared.metricdata.arithmetic import round2
from shared.metricdata.model import Statistics, Unit
from shared.metricdata.postprocess import SERIES_FOR_STATISTICS, SUMMED_METRICS

_IN_NUMBERS = b"0123456789.,-+eE null\t\r\n"


def is_as_stored(name: str, scopes: Mapping[str, StoredMetric], wanted: MetricSelection) -> bool:
    """Whether the metric needs no sum, no reduction and no band over its series."""
    if name in SUMMED_METRICS and wanted.wants_node and NODE not in scopes:
        return False
    return all(_is_complete(metric, wanted) for metric in scopes.values())


def _is_complete(metric: StoredMetric, wanted: MetricSelection) -> bool:
    series = metric.series or []
    if wanted.points is not None:
        return not (wanted.with_samples or wanted.with_band)
    if wanted.with_band and len(series) >= SERIES_FOR_STATISTICS and not metric.statistics_series:
        return False
    if wanted.resolution.seconds <= metric.timestep:
        return True
    longest = max((_max_samples(one.data) for one in series), default=0)
    return wanted.resolution.points(metric.timestep, longest) is None


def stored_metric(name: str, scope: str, metric: StoredMetric, wanted: MetricSelection) -> NamedMetric:
    """Raises TypeError when a sample is not a number."""
    unit = metric.unit or StoredUnit()
    series = [_series(one, with_samples=wanted.with_samples) for one in metric.series or ()]
    band = metric.statistics_series if wanted.with_band else None
    text = MetricText(Unit(unit.base or "", unit.prefix or ""), metric.timestep, series, None if not band else _band(band))
    return NamedMetric(name, scope, text)


def _series(found: StoredSeries, *, with_samples: bool) -> SeriesText:
    statistics = found.statistics or StoredStatistics()
    return SeriesText(
        found.hostname,
        None if found.id is None else str(found.id),
        Statistics(*(round2(value or 0.0) for value in (statistics.avg, statistics.min, statistics.max))),
        stored_numbers(found.data) if with_samples else None,
    )


def _band(found: StoredBand) -> BandText:
    mean, median = (None if bytes(text) == b"null" else stored_numbers(text) for text in (found.mean, found.median))
    return BandText(mean=mean, median=median, min=stored_numbers(found.min), max=stored_numbers(found.max))


def _max_samples(text: msgspec.Raw) -> int:
    return bytes(text).count(b",") + 1


def stored_numbers(raw: msgspec.Raw) -> Numbers:
    """The text is valid JSON, so a flat list of only these characters holds nothing but numbers and nulls."""
    text = bytes(raw)
    if text == b"null":
        return Numbers(b"[]")
    if text.translate(None, _IN_NUMBERS) != b"[]":
        raise TypeError("a sample is not a number")
    return Numbers(text)
