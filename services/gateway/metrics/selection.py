"""Which metric data are wanted, and what is made of loaded ones. Pure. Source: metrics specification, 3.2 to 3.6."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.gateway.metrics.resampling import Resolution, resampled
from shared.metricdata.model import SCOPE_RANK, JobData, MetricData
from shared.metricdata.postprocess import SUMMED_METRICS, finished, sum_per_host

NODE = "node"


@dataclass(frozen=True, slots=True)
class Wanted:
    """None is: no wish. For ``metrics`` that means all, for ``scopes`` the node, or everything that the archive has.

    With ``with_stored_scopes`` all scopes of an archived job are given. An empty tuple of metrics means none.
    Samples and the band over all series are only made when they are asked for.
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
        """For the metric store. The accelerator is the finest scope of all: a CPU metric is delivered in its own."""
        scopes = frozenset((NODE,) if self.scopes is None else self.scopes)
        return scopes | {"hwthread"} if "accelerator" in scopes else scopes


def chosen_scopes(data: JobData, wanted: Wanted) -> JobData:
    """Of archived data: a metric stored in one scope is given in that one; of several the wanted ones, or all when it has none of them."""
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
    """The node scope of a metric, summed over the coarsest one if the metric is a rate; None if there is none."""
    if NODE in scopes:
        return scopes[NODE]
    return sum_per_host(scopes[coarsest(scopes)]) if scopes and name in SUMMED_METRICS else None


def completed(data: JobData, wanted: Wanted) -> JobData:
    """With node values of rates, statistics over many series, rounded statistics; then in the wanted resolution."""
    result: JobData = {}
    for name, scopes in data.items():
        if wanted.wants_node and NODE not in scopes and (node := node_data(name, scopes)) is not None:
            scopes = {**scopes, NODE: node}
        kept = {scope: _completed(metric, wanted) for scope, metric in scopes.items() if metric.series}
        if kept:
            result[name] = kept
    return resampled(result, wanted.resolution) if wanted.with_samples or wanted.with_band else result


def _completed(metric: MetricData, wanted: Wanted) -> MetricData:
    return finished(metric, with_band=wanted.with_band)
