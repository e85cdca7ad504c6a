"""Which metric data a query selects, and the processing of loaded data. Pure. Source: metrics specification, 3.2 to 3.6."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.gateway.metrics.resampling import Resolution, resampled
from shared.metricdata.model import SCOPE_RANK, JobData, MetricData
from shared.metricdata.postprocess import SUMMED_METRICS, finished, sum_per_host

NODE = "node"


@dataclass(frozen=True, slots=True)
class MetricSelection:
    """None means unrestricted: all metrics; and the node scope, or every scope of an archived job. An empty tuple of metrics means none.

    With ``with_stored_scopes`` an archived job is answered in every stored scope, whatever ``scopes`` says.
    Samples and the band over all series are left out unless selected, because they cost the most.
    """

    metrics: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    resolution: Resolution = field(default_factory=Resolution)
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


def coarsest(scopes: Iterable[str]) -> str:
    return max(scopes, key=lambda scope: SCOPE_RANK.get(scope, 0))


def node_data(name: str, scopes: Mapping[str, MetricData]) -> MetricData | None:
    """The node scope of a metric. If it is not stored, a rate is summed over its coarsest scope; other metrics give None."""
    if NODE in scopes:
        return scopes[NODE]
    return sum_per_host(scopes[coarsest(scopes)]) if scopes and name in SUMMED_METRICS else None


def completed(data: JobData, wanted: MetricSelection) -> JobData:
    """Adds node values of rates and the band over many series, rounds statistics, then reduces to the selected resolution."""
    result: JobData = {}
    for name, scopes in data.items():
        if wanted.wants_node and NODE not in scopes and (node := node_data(name, scopes)) is not None:
            scopes = {**scopes, NODE: node}
        kept = {scope: _completed(metric, wanted) for scope, metric in scopes.items() if metric.series}
        if kept:
            result[name] = kept
    return resampled(result, wanted.resolution) if wanted.with_samples or wanted.with_band else result


def _completed(metric: MetricData, wanted: MetricSelection) -> MetricData:
    return finished(metric, with_band=wanted.with_band)
