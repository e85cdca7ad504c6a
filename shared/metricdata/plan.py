"""The series that make up a job's metric data, and the job's data from the loaded series. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.clusters import Metric
from shared.metricdata.model import FloatArray, JobData, MetricData, Series, Statistics, Unit
from shared.metricdata.scopes import HostElements, SeriesElements, effective_scopes
from shared.metricdata.source import JobRequest, SourceRefused


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """One series of a job: a metric in one scope on one host."""

    metric: Metric
    scope: str
    host: str
    elements: SeriesElements


class LoadedSeries(Protocol):
    """``data`` is on the job's time axis."""

    @property
    def data(self) -> FloatArray: ...

    @property
    def statistics(self) -> Statistics: ...

    @property
    def timestep(self) -> int: ...


def queries_of(request: JobRequest) -> Iterable[SeriesQuery]:
    """Raises SourceRefused when the cluster does not have the subcluster."""
    subcluster = request.cluster.subcluster(request.subcluster)
    if subcluster is None:
        raise SourceRefused(f"{request.subcluster!r} is not a subcluster of {request.cluster.name}")
    hosts = [(resource.hostname, HostElements(subcluster, resource)) for resource in request.resources]
    for metric in request.cluster.metrics_on(request.subcluster):
        if request.metrics is not None and metric.name not in request.metrics:
            continue
        for scope in effective_scopes(metric, request.scopes, num_acc=request.num_acc):
            for host, elements in hosts:
                for series in elements.series(metric.scope, scope):
                    yield SeriesQuery(metric, scope, host, series)


def job_data(queries: Sequence[SeriesQuery], loaded: Sequence[LoadedSeries | None]) -> JobData:
    """Series by metric and scope, ordered by host and element. The first loaded series determines the timestep."""
    series: dict[tuple[str, str], list[Series]] = {}
    steps: dict[tuple[str, str], tuple[Metric, int]] = {}
    for query, found in zip(queries, loaded, strict=True):
        if found is not None:
            key = query.metric.name, query.scope
            series.setdefault(key, []).append(Series(query.host, query.elements.element, found.statistics, found.data))
            steps.setdefault(key, (query.metric, found.timestep))
    data: JobData = {}
    for (name, scope), all_series in series.items():
        metric, timestep = steps[name, scope]
        data.setdefault(name, {})[scope] = MetricData(Unit(metric.unit.base, metric.unit.prefix), timestep, tuple(all_series))
    return data
