"""Metric data of nodes and whole clusters from the metric store, for the site's staff."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from services.gateway.errors import bad_request
from services.gateway.metrics.hosts import HostFilter, Hosts, HostState
from services.gateway.metrics.model import NamedMetric, Numbers, numbers
from services.gateway.metrics.selection import NODE, MetricSelection, completed, rendered
from services.gateway.reading.model import Slice
from shared.domain.clusters import Cluster, Metric, SubCluster
from shared.domain.payloads import Resource
from shared.errors import Unavailable
from shared.metricdata import JobData, JobRequest, MetricData, MetricSource, Series, SourceRefused, SourceUnavailable, Statistics, Unit
from shared.metricdata.arithmetic import significant
from shared.metricdata.buckets import each_bucketed
from shared.metricdata.hosts import HostsLoaded, HostsRequest
from shared.metricdata.model import FloatArray
from shared.metricdata.newest import NewestLoaded, NewestRequest
from shared.metricdata.results import PREFIX_FACTOR
from shared.metricdata.scopes import effective_scopes

log = structlog.get_logger()

TERA = 1e12
NO_STATISTICS = Statistics(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Window:
    """Unix seconds. ``end`` is exclusive."""

    start: int
    end: int

    def check(self) -> None:
        """Raises RequestError (400)."""
        if self.start > self.end:
            raise bad_request("from, to: the window ends before it starts")


@dataclass(frozen=True, slots=True)
class HostMetrics:
    host: str
    subcluster: str
    state: HostState
    metrics: Sequence[NamedMetric]


@dataclass(frozen=True, slots=True)
class HostMetricsPage:
    items: Sequence[HostMetrics]
    total: int
    has_next: bool


@dataclass(frozen=True, slots=True)
class MetricNow:
    """The newest values of one metric, and the place of each one's host. ``values`` have four significant digits; times in Unix seconds."""

    name: str
    places: Sequence[int]
    values: FloatArray
    times: Sequence[int]


@dataclass(frozen=True, slots=True)
class HostsNow:
    """``hosts`` by name, with the subcluster of each. By metric instead of by host, because objects for each value take too long."""

    hosts: Sequence[str] = ()
    subclusters: Sequence[str] = ()
    metrics: Sequence[MetricNow] = ()


@dataclass(frozen=True, slots=True)
class ClusterMetric:
    name: str
    unit: Unit
    timestep: int
    data: Numbers


@dataclass(frozen=True, slots=True)
class ClusterMetrics:
    node_count: int
    metrics: Sequence[ClusterMetric]


class NodeMetrics:
    """``source`` is None at a site without a metric store."""

    def __init__(
        self,
        source: MetricSource | None,
        clusters: Callable[[], Mapping[str, Cluster]],
        hosts: Hosts,
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._clock = clock
        self._clusters = clusters
        self._hosts = hosts

    def cluster(self, name: str) -> Cluster:
        """Raises RequestError (400) for an unknown cluster."""
        found = self._clusters().get(name)
        if found is None:
            raise bad_request(f"unknown cluster: {name[:100]}")
        return found

    async def of_hosts(
        self, name: str, hosts: Sequence[str] | None, metrics: Sequence[str] | None, window: Window, how: MetricSelection
    ) -> list[HostMetrics]:
        """Node-level metrics of ``hosts``, or of all hosts in the metric store. Hosts without data are left out.

        ``how`` selects points, samples and band; a band exists only with points.

        Raises RequestError, Unavailable.
        """
        cluster = self.cluster(name)
        window.check()
        chosen = _chosen(cluster, metrics)
        loaded = await self._load(cluster, hosts, chosen, window)
        order = sorted(loaded.series) if hosts is None else [host for host in dict.fromkeys(hosts) if host in loaded.series]
        states = await self._hosts.states(name, order)
        return await asyncio.to_thread(_host_metrics, cluster, chosen, loaded, order, states, how)

    async def now(self, name: str, metrics: Sequence[str] | None) -> HostsNow:
        """The newest values. Hosts without a recent value are absent. Raises RequestError, Unavailable."""
        cluster = self.cluster(name)
        chosen = _chosen(cluster, metrics)
        if not chosen:
            return HostsNow()
        loaded = await self._store().load_newest(NewestRequest(name, int(self._clock()), chosen))
        _log_problems(cluster, loaded.problems)
        if loaded.problems and not loaded.columns:
            raise SourceUnavailable(f"the metric store returned only errors: {loaded.problems[0]}")
        return await asyncio.to_thread(_hosts_now, cluster, chosen, loaded)

    async def of_cluster(self, name: str, metrics: Sequence[str] | None, window: Window) -> ClusterMetrics:
        """Sums over all hosts that the metric store has. Raises RequestError, Unavailable."""
        cluster = self.cluster(name)
        window.check()
        chosen = _chosen(cluster, metrics)
        loaded = await self._load(cluster, None, chosen, window)
        found = await asyncio.to_thread(lambda: [_summed(metric, loaded) for metric in chosen])
        return ClusterMetrics(len(loaded.series), [metric for metric in found if metric is not None])

    async def page(
        self,
        wanted: HostFilter,
        piece: Slice,
        metrics: Sequence[str] | None,
        scopes: Sequence[str] | None,
        window: Window,
        how: MetricSelection,
    ) -> HostMetricsPage:
        """One page of hosts with their metrics in ``scopes``. A metric without data has an empty list of series.

        ``how`` selects resolution, samples and band.

        Raises RequestError, Unavailable.
        """
        cluster = wanted.cluster
        window.check()
        if wanted.subcluster and cluster.subcluster(wanted.subcluster) is None:
            raise bad_request(f"unknown subcluster: {wanted.subcluster[:100]} of {cluster.name}")
        found = await self._hosts.page(wanted, piece)
        by_subcluster: dict[str, list[str]] = defaultdict(list)
        for host in found.hosts:
            by_subcluster[wanted.subcluster or cluster.subcluster_of(host) or ""].append(host)
        names = None if metrics is None else frozenset(metrics)
        asked = MetricSelection(None, (NODE,) if scopes is None else tuple(scopes))
        parts = [(cluster.subcluster(name), hosts) for name, hosts in by_subcluster.items()]
        loads = [self._load_parts(cluster, part, hosts, names, asked, window) for part, hosts in parts if part is not None]
        data: dict[str, list[NamedMetric]] = {}
        for (part, hosts), one in zip([p for p in parts if p[0] is not None], await asyncio.gather(*loads), strict=True):
            assert part is not None
            data |= await asyncio.to_thread(_split, cluster, part, hosts, names, asked, how, one)
        states = await self._hosts.states(cluster.name, found.hosts)
        items = [
            HostMetrics(host, wanted.subcluster or cluster.subcluster_of(host) or "", states.get(host, HostState()), data.get(host, []))
            for host in found.hosts
        ]
        has_next = piece.limit is not None and piece.first + piece.limit < found.total
        return HostMetricsPage(items, found.total, has_next)

    async def _load(self, cluster: Cluster, hosts: Sequence[str] | None, metrics: list[Metric], window: Window) -> HostsLoaded:
        names = None if hosts is None else list(dict.fromkeys(hosts))
        if not metrics or names == []:
            return HostsLoaded()
        try:
            loaded = await self._store().load_hosts(HostsRequest(cluster.name, window.start, window.end, metrics, names))
        except SourceRefused as e:
            raise bad_request(str(e)) from e
        _log_problems(cluster, loaded.problems)
        if loaded.problems and not any(loaded.series.values()):
            raise SourceUnavailable(f"the metric store returned only errors: {loaded.problems[0]}")
        return HostsLoaded({host: found for host, found in loaded.series.items() if found}, loaded.problems)

    async def _load_parts(
        self, cluster: Cluster, part: SubCluster, hosts: list[str], metrics: frozenset[str] | None, asked: MetricSelection, window: Window
    ) -> JobData:
        if not asked.scopes:
            return {}
        accelerators = [one.id for one in part.topology.accelerators]
        request = JobRequest(
            cluster=cluster,
            subcluster=part.name,
            start=window.start,
            duration=window.end - window.start,
            resources=[Resource(hostname=host, accelerators=accelerators) for host in hosts],
            num_acc=len(accelerators),
            scopes=asked.source_scopes,
            metrics=metrics,
        )
        try:
            loaded = await self._store().load(request)
        except SourceRefused as e:
            raise bad_request(str(e)) from e
        _log_problems(cluster, loaded.problems)
        return loaded.data

    def _store(self) -> MetricSource:
        if self._source is None:
            raise Unavailable("this site has no metric store")
        return self._source


def _log_problems(cluster: Cluster, problems: list[str]) -> None:
    if problems:
        log.warning("node_data_incomplete", cluster=cluster.name, problems=len(problems), first=problems[0])


def _chosen(cluster: Cluster, names: Sequence[str] | None) -> list[Metric]:
    """In the order of the configuration. Unknown names are ignored."""
    return [metric for metric in cluster.metric_config if names is None or metric.name in names]


def _unit(metric: Metric) -> Unit:
    return Unit(metric.unit.base, metric.unit.prefix)


def _host_metrics(
    cluster: Cluster,
    metrics: list[Metric],
    loaded: HostsLoaded,
    hosts: Sequence[str],
    states: Mapping[str, HostState],
    how: MetricSelection,
) -> list[HostMetrics]:
    data: dict[str, JobData] = {host: {} for host in hosts}
    for metric in metrics:
        for host, found in _data(metric, loaded, hosts, how).items():
            data[host][metric.name] = {NODE: found}
    return [
        HostMetrics(host, cluster.subcluster_of(host) or "", states.get(host, HostState()), rendered(data[host], how)) for host in hosts
    ]


def _data(metric: Metric, loaded: HostsLoaded, hosts: Sequence[str], how: MetricSelection) -> dict[str, MetricData]:
    """Reduced metrics by host. Series with the same timestep and length are reduced together."""
    unit = _unit(metric)
    alike: defaultdict[tuple[int, int], dict[str, MetricData]] = defaultdict(dict)
    for host in hosts:
        if (found := loaded.series[host].get(metric.name)) is not None:
            series = Series(host, None, found.statistics or NO_STATISTICS, found.data)
            alike[found.timestep, found.data.size][host] = MetricData(unit, found.timestep, (series,))
    if how.points is not None:
        for key, group in alike.items():
            reduced = each_bucketed(list(group.values()), how.points, with_samples=how.with_samples, with_band=how.with_band)
            alike[key] = dict(zip(group, reduced, strict=True))
    return {host: data for group in alike.values() for host, data in group.items()}


def _hosts_now(cluster: Cluster, metrics: list[Metric], loaded: NewestLoaded) -> HostsNow:
    columns = [(metric.name, column) for metric in metrics if (column := loaded.columns.get(metric.name)) and column.hosts]
    hosts = sorted({host for _, column in columns for host in column.hosts})
    place_of = {host: place for place, host in enumerate(hosts)}
    return HostsNow(
        hosts,
        [cluster.subcluster_of(host) or "" for host in hosts],
        [
            MetricNow(name, [place_of[host] for host in column.hosts], significant(np.array(column.values, dtype=float)), column.times)
            for name, column in columns
        ],
    )


def _split(
    cluster: Cluster,
    part: SubCluster,
    hosts: list[str],
    names: frozenset[str] | None,
    asked: MetricSelection,
    how: MetricSelection,
    data: JobData,
) -> dict[str, list[NamedMetric]]:
    """The metrics of each host, including those without data, which have no series."""
    metrics = [metric for metric in cluster.metrics_on(part.name) if names is None or metric.name in names]
    places = [
        (metric, scope)
        for metric in metrics
        for scope in effective_scopes(metric, asked.source_scopes if asked.scopes else frozenset(), num_acc=len(part.topology.accelerators))
    ]
    series: dict[tuple[str, str, str], list[Series]] = defaultdict(list)
    for name, scopes in data.items():
        for scope, found in scopes.items():
            for one in found.series:
                series[one.hostname, name, scope].append(one)
    result: dict[str, list[NamedMetric]] = {}
    for host in hosts:
        mine: JobData = {}
        for metric, scope in places:
            if found_series := series.get((host, metric.name, scope)):
                mine.setdefault(metric.name, {})[scope] = MetricData(_unit(metric), data[metric.name][scope].timestep, tuple(found_series))
        ready = completed(mine, how)
        for metric, scope in places:
            ready.setdefault(metric.name, {}).setdefault(scope, MetricData(_unit(metric), metric.timestep, ()))
        result[host] = rendered(ready, how)
    return result


def _summed(metric: Metric, loaded: HostsLoaded) -> ClusterMetric | None:
    """Sums sample by sample over the hosts that have one. None if no host has data of the metric."""
    found = [series[metric.name] for series in loaded.series.values() if metric.name in series and series[metric.name].data.size]
    if not found:
        return None
    timestep = found[0].timestep
    alike = [one.data for one in found if one.timestep == timestep]
    if len(alike) < len(found):
        log.warning("hosts_left_out_of_sum", metric=metric.name, hosts=len(found) - len(alike), timestep=timestep)
    total = np.zeros(max(row.size for row in alike))
    counts = np.zeros(total.size, dtype=np.int64)
    for row in alike:
        present = ~np.isnan(row)
        total[: row.size][present] += row[present]
        counts[: row.size] += present
    values: FloatArray = np.where(counts > 0, total, math.nan)
    unit, factor = _large_unit(_unit(metric))
    return ClusterMetric(metric.name, unit, timestep, numbers(values * factor, 2 if factor == 1.0 else 6))


def _large_unit(unit: Unit) -> tuple[Unit, float]:
    """Bytes and operations of a whole cluster are reported in tera. Other units are unchanged."""
    if unit.base[:1] in ("B", "F") and unit.prefix in PREFIX_FACTOR:
        return Unit(unit.base, "T"), PREFIX_FACTOR[unit.prefix] / TERA
    return unit, 1.0
