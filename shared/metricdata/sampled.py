"""Metric data from servers that know hosts and labels, but neither jobs nor topologies.

An adapter reads the samples of one metric for many hosts. This module turns them into the series of a job: it selects the
elements that the job uses and combines them. Source of the scopes: metric store interface 3.4.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np

from shared.domain.clusters import Metric
from shared.metricdata.arithmetic import statistics_of
from shared.metricdata.health import HostHealth
from shared.metricdata.hosts import HostSeries, HostsLoaded, HostsRequest
from shared.metricdata.http import StoreClient
from shared.metricdata.model import FloatArray, Statistics
from shared.metricdata.newest import NewestLoaded, NewestRequest, Value, combined
from shared.metricdata.plan import SeriesQuery, job_data, queries_of
from shared.metricdata.postprocess import combine
from shared.metricdata.source import JobRequest, Loaded, OnlyErrors, SourceRefused
from shared.metricdata.store_settings import ServerSettings

MAX_PROBLEMS = 100
HOSTS_PER_REQUEST = 250
_DAY_S = 86_400
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

T = TypeVar("T")
Key = tuple[str, str | None]  # host and element, None for the node


class QueryRefused(Exception):
    """The server refuses the query of one metric. Other metrics may be readable."""


@dataclass(frozen=True, slots=True)
class Grid:
    """``count`` samples, one per ``timestep`` seconds. Sample k stands for the time from half a timestep before ``start`` plus k
    timesteps to half a timestep after, so that each measurement goes to the nearest one."""

    start: int
    timestep: int
    count: int

    @classmethod
    def of(cls, start: int, end: int, timestep: int) -> "Grid":
        return cls(start, timestep, max(-(-(end - start) // timestep), 1))

    @property
    def first_edge_ms(self) -> int:
        return self.start * 1000 - self.timestep * 500

    @property
    def last_edge_ms(self) -> int:
        return self.first_edge_ms + self.count * self.timestep * 1000

    def empty(self) -> FloatArray:
        return np.full(self.count, np.nan)


@dataclass(frozen=True, slots=True)
class Hosts:
    """None means all hosts of the cluster."""

    names: tuple[str, ...] | None

    def pattern(self, suffix: str = "") -> str:
        """A regular expression without backslashes and quotes, so that it fits into any literal of a query language."""
        names = ".*" if self.names is None else "(?:" + "|".join(map(_literal, self.names)) + ")"
        return names + _literal(suffix)


def _literal(text: str) -> str:
    return "".join(f"[{char}]" if char in ".+*?()|{}$" else char for char in text)


@dataclass(slots=True)
class _Problems:
    texts: list[str] = field(default_factory=list)

    def add(self, metric: Metric, text: str) -> None:
        if len(self.texts) < MAX_PROBLEMS:
            self.texts.append(f"{metric.name}: {text}"[:500])


@dataclass(frozen=True, slots=True)
class _Found:
    data: FloatArray
    statistics: Statistics
    timestep: int


class SampledSource(ABC):
    """Base of the adapters. ``max_window_days`` bounds the time range of a request. An async context manager that opens the client."""

    def __init__(self, settings: ServerSettings, client: StoreClient, max_window_days: float) -> None:
        self._client = client
        self._address = settings.address
        self._clusters = frozenset(settings.clusters)
        self._max_window_s = max_window_days * _DAY_S

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    @abstractmethod
    async def read_samples(self, cluster: str, metric: Metric, hosts: Hosts, grid: Grid) -> Mapping[Key, FloatArray]:
        """Samples on the grid, by host and element of the metric's native scope. Raises QueryRefused, SourceUnavailable."""

    @abstractmethod
    async def read_newest(self, cluster: str, metric: Metric, since: int, now: int) -> Mapping[Key, Value]:
        """The newest value from ``since`` to ``now`` of all hosts, by host and element. Raises QueryRefused, SourceUnavailable."""

    @abstractmethod
    async def read_present(self, cluster: str, metric: str, hosts: Hosts) -> frozenset[str]:
        """The hosts with a sample of the metric within FRESH_S. Raises QueryRefused, SourceUnavailable."""

    @abstractmethod
    def has(self, metric: str) -> bool:
        """Whether the server is configured to have the metric."""

    @abstractmethod
    async def check(self, store: str) -> None:
        """See MetricSource."""

    async def read_statistics(self, cluster: str, metric: Metric, hosts: Hosts, grid: Grid) -> Mapping[Key, Statistics]:
        """Statistics over the time of the grid, computed here unless the server can."""
        samples = await self.read_samples(cluster, metric, hosts, grid)
        return {key: found for key, data in samples.items() if (found := statistics_of(data)) is not None}

    def stores(self) -> list[str]:
        """See MetricSource."""
        return [self._address]

    def store_of(self, cluster: str) -> str:
        """See MetricSource."""
        return self._address if cluster in self._clusters else ""

    async def load(self, request: JobRequest) -> Loaded:
        """See MetricSource. An error about one metric is a problem of that metric only."""
        if request.duration > self._max_window_s:
            raise SourceRefused(f"the job ran for {request.duration} s, longer than max_window_days allows")
        queries = [query for query in queries_of(request) if self.has(query.metric.name)]
        by_metric: dict[str, list[int]] = {}
        for index, query in enumerate(queries):
            by_metric.setdefault(query.metric.name, []).append(index)
        found: list[_Found | None] = [None] * len(queries)
        problems = _Problems()

        async def load_metric(indexes: Sequence[int]) -> None:
            own = [queries[index] for index in indexes]
            for index, series in zip(indexes, await self._load_metric(request, own, problems), strict=True):
                found[index] = series

        await _all(load_metric, list(by_metric.values()))
        data = job_data(queries, found)
        if not data and problems.texts:
            raise OnlyErrors(f"the metric store returned only errors for the job: {problems.texts[0]}")
        return Loaded(data, problems.texts)

    async def _load_metric(self, request: JobRequest, queries: Sequence[SeriesQuery], problems: _Problems) -> list[_Found | None]:
        metric = queries[0].metric
        grid = Grid.of(request.start, request.start + request.duration, metric.timestep)
        names = list(dict.fromkeys(query.host for query in queries))
        cluster = request.cluster.name
        if not request.with_samples and all(len(query.elements.ids) <= 1 for query in queries):
            statistics: dict[Key, Statistics] = {}
            await self._in_parts(metric, names, problems, lambda part: self.read_statistics(cluster, metric, part, grid), statistics.update)
            return [_stated(query, statistics) for query in queries]
        samples: dict[Key, FloatArray] = {}
        await self._in_parts(metric, names, problems, lambda part: self.read_samples(cluster, metric, part, grid), samples.update)
        return [_series(query, samples, problems, with_samples=request.with_samples) for query in queries]

    async def _in_parts(
        self,
        metric: Metric,
        names: Sequence[str],
        problems: _Problems,
        read: Callable[[Hosts], Awaitable[Mapping[Key, T]]],
        take: Callable[[Mapping[Key, T]], None],
    ) -> None:
        """Read a bounded number of hosts at a time. Names that cannot be part of a query are left out."""
        usable = [name for name in names if _HOST_NAME.fullmatch(name)]
        for name in sorted(set(names) - set(usable)):
            problems.add(metric, f"{name!r} is not a host name that a query may contain")
        for first in range(0, len(usable), HOSTS_PER_REQUEST):
            try:
                take(await read(Hosts(tuple(usable[first : first + HOSTS_PER_REQUEST]))))
            except QueryRefused as e:
                problems.add(metric, str(e))
                return

    async def load_hosts(self, request: HostsRequest) -> HostsLoaded:
        """See MetricSource. Everything below a host is combined with the metric's aggregation."""
        if request.end - request.start > self._max_window_s:
            raise SourceRefused(f"the window has {request.end - request.start} s, more than max_window_days allows")
        loaded, problems = HostsLoaded(), _Problems()

        async def load_metric(metric: Metric) -> None:
            grid = Grid.of(request.start, request.end, metric.timestep)
            samples: dict[Key, FloatArray] = {}
            if request.hosts is None:
                try:
                    samples.update(await self.read_samples(request.cluster, metric, Hosts(None), grid))
                except QueryRefused as e:
                    problems.add(metric, str(e))
            else:
                await self._in_parts(
                    metric, request.hosts, problems, lambda part: self.read_samples(request.cluster, metric, part, grid), samples.update
                )
            for host, data in _by_host(metric, samples, problems).items():
                loaded.series.setdefault(host, {})[metric.name] = HostSeries(metric.timestep, statistics_of(data), data)

        await _all(load_metric, [metric for metric in request.metrics if self.has(metric.name)])
        loaded.problems.extend(problems.texts)
        return loaded

    async def load_newest(self, request: NewestRequest) -> NewestLoaded:
        """See MetricSource. The values of a host's elements are combined with the metric's aggregation."""
        loaded = NewestLoaded()

        async def load_metric(metric: Metric) -> None:
            try:
                found = await self.read_newest(request.cluster, metric, request.since(metric), request.now)
            except QueryRefused as e:
                loaded.problem(metric.name, str(e))
                return
            parts: dict[str, dict[str, Value]] = {}
            whole: set[str] = set()
            for (host, element), value in found.items():
                if element is None:
                    whole.add(host)
                    loaded.add(host, metric.name, value)
                else:
                    parts.setdefault(host, {})[element] = value
            for host, values in parts.items():
                if host not in whole:
                    try:
                        loaded.add(host, metric.name, combined(metric, values))
                    except ValueError as e:
                        loaded.problem(metric.name, f"{host}: {e}")

        await _all(load_metric, [metric for metric in request.metrics if self.has(metric.name)])
        return loaded

    async def health(self, cluster: str, hosts: Sequence[str], metrics: Sequence[str]) -> dict[str, HostHealth]:
        """See MetricSource. A metric that the server is not configured to have, or whose query it refuses, is not checked."""
        present: dict[str, frozenset[str]] = {}

        async def read(metric: str) -> None:
            usable = [name for name in hosts if _HOST_NAME.fullmatch(name)]
            parts = [Hosts(tuple(usable[first : first + HOSTS_PER_REQUEST])) for first in range(0, len(usable), HOSTS_PER_REQUEST)]
            try:
                present[metric] = frozenset().union(*[await self.read_present(cluster, metric, part) for part in parts])
            except QueryRefused:
                return

        await _all(read, [metric for metric in metrics if self.has(metric)])
        return {host: _health(host, present) for host in hosts}


async def _all(run: Callable[[T], Awaitable[None]], items: Sequence[T]) -> None:
    async def one(item: T) -> None:
        await run(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except ExceptionGroup as e:
        raise e.exceptions[0] from e


def _health(host: str, present: Mapping[str, frozenset[str]]) -> HostHealth:
    missing = tuple(sorted(metric for metric, hosts in present.items() if host not in hosts))
    if not missing and present:
        return HostHealth("full")
    return HostHealth("failed" if len(missing) == len(present) else "partial", missing)


def _stated(query: SeriesQuery, statistics: Mapping[Key, Statistics]) -> _Found | None:
    found = statistics.get((query.host, query.elements.ids[0] if query.elements.ids else None))
    if found is None and query.scope == "node":
        found = statistics.get((query.host, None))
    return None if found is None else _Found(np.empty(0), found, query.metric.timestep)


def _series(query: SeriesQuery, samples: Mapping[Key, FloatArray], problems: _Problems, *, with_samples: bool) -> _Found | None:
    """The series of the elements that the job uses. A server that has the metric per node only still has the node's series."""
    host, elements = query.host, query.elements
    parts = [samples[host, one] for one in elements.ids if (host, one) in samples]
    if not parts and query.scope == "node" and (host, None) in samples:
        parts = [samples[host, None]]
    if not parts:
        return None
    if len(parts) > 1 and query.metric.aggregation not in ("sum", "avg"):
        problems.add(query.metric, f"several elements of {host}, but the metric has no aggregation")
        return None
    data = parts[0] if len(parts) == 1 else combine(parts, query.metric.aggregation)
    statistics = statistics_of(data)
    return None if statistics is None else _Found(data if with_samples else np.empty(0), statistics, query.metric.timestep)


def _by_host(metric: Metric, samples: Mapping[Key, FloatArray], problems: _Problems) -> dict[str, FloatArray]:
    parts: dict[str, list[FloatArray]] = {}
    whole: dict[str, FloatArray] = {}
    for (host, element), data in samples.items():
        if element is None:
            whole[host] = data
        else:
            parts.setdefault(host, []).append(data)
    for host, rows in parts.items():
        if host in whole:
            continue
        if len(rows) > 1 and metric.aggregation not in ("sum", "avg"):
            problems.add(metric, f"several elements of {host}, but the metric has no aggregation")
            continue
        whole[host] = rows[0] if len(rows) == 1 else combine(rows, metric.aggregation)
    return whole
