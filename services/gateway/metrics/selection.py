"""Which metric data a query selects, and the processing of loaded data. Pure. Source: metrics specification, 3.2 to 3.6."""

from dataclasses import dataclass, field, replace

from services.gateway.metrics.model import NamedMetric, named_metrics, numbers, short_numbers
from services.gateway.metrics.resampling import Resolution, resampled
from shared.metricdata.buckets import bucketed
from shared.metricdata.model import JobData, MetricData
from shared.metricdata.postprocess import finished, node_data

NODE = "node"


@dataclass(frozen=True, slots=True)
class MetricSelection:
    """``metrics`` None means all, an empty tuple none. ``scopes`` None means the node scope, or every scope of an archived job.

    ``with_stored_scopes`` overrides ``scopes``: an archived job is answered in every stored scope.
    Samples and the band over all series are left out unless selected, because they cost the most. ``points`` overrides
    ``resolution``: both are reduced to at most that many buckets, and even a single series has a band. ``since_s``: only values from
    the bucket on that contains it, seconds after the start of the job (see ``tails``).
    """

    metrics: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    resolution: Resolution = field(default_factory=Resolution)
    points: int | None = None
    since_s: int = 0
    with_samples: bool = True
    with_band: bool = True
    with_stored_scopes: bool = False

    @property
    def wants_node(self) -> bool:
        return self.scopes is not None and NODE in self.scopes

    @property
    def source_scopes(self) -> frozenset[str]:
        """Scopes to request from the metric store. Accelerator is the finest scope, so CPU metrics are requested per hardware thread."""
        scopes = frozenset((NODE,) if self.scopes is None else self.scopes)
        return scopes | {"hwthread"} if "accelerator" in scopes else scopes


def chosen_scopes(data: JobData, wanted: MetricSelection) -> JobData:
    """The selected scopes of each archived metric, or all its scopes if it has none of them."""
    if not wanted.scopes:
        return data
    result: JobData = {}
    for name, scopes in data.items():
        kept = {scope: metric for scope, metric in scopes.items() if scope in wanted.scopes}
        result[name] = kept or scopes
    return result


def completed(data: JobData, wanted: MetricSelection, size: int | None = None) -> JobData:
    """Adds node values of rates and the band over many series, rounds statistics, then reduces to the selected number of samples.

    ``size``: samples of a bucket, if it is already decided.
    """
    result: JobData = {}
    for name, scopes in data.items():
        if wanted.wants_node and NODE not in scopes and (node := node_data(name, scopes)) is not None:
            scopes = {**scopes, NODE: node}
        kept = {scope: _completed(metric, wanted, size) for scope, metric in scopes.items() if metric.series}
        if kept:
            result[name] = kept
    has_lists = wanted.with_samples or wanted.with_band
    return resampled(result, wanted.resolution) if has_lists and wanted.points is None else result


def _completed(metric: MetricData, wanted: MetricSelection, size: int | None) -> MetricData:
    if wanted.points is None:
        return finished(metric, with_band=wanted.with_band)
    found = finished(metric, with_band=False)
    return bucketed(found, wanted.points, size, with_samples=wanted.with_samples, with_band=wanted.with_band)


def rendered(data: JobData, wanted: MetricSelection, first_s: int = 0) -> list[NamedMetric]:
    """Completed data as text. Reduced samples have four significant digits, others two decimals as in the archive."""
    rendering = numbers if wanted.points is None else short_numbers
    found = named_metrics(data, with_samples=wanted.with_samples, with_band=wanted.with_band, rendering=rendering)
    return [replace(one, metric=replace(one.metric, first_s=first_s)) for one in found] if first_s else found
