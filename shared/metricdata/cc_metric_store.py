"""The HTTP API of cc-metric-store. Source: metric store interface 2.3. ``CcMetricStore.load`` describes its faults."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import orjson

from shared.domain.clusters import Cluster, Metric
from shared.metricdata.arithmetic import statistics_of
from shared.metricdata.cc_answers import placed, stated, stated_alone
from shared.metricdata.cc_health import read_health
from shared.metricdata.cc_hosts import hosts_body, known_hosts, names_body, newest_body, read_all_hosts, read_hosts, read_newest
from shared.metricdata.health import HostHealth
from shared.metricdata.hosts import HostsLoaded, HostsRequest
from shared.metricdata.http import Answer, Credentials, Request, StoreClient
from shared.metricdata.model import FloatArray, Statistics
from shared.metricdata.newest import NewestLoaded, NewestRequest
from shared.metricdata.plan import SeriesQuery, job_data, queries_of
from shared.metricdata.postprocess import combine
from shared.metricdata.scopes import SeriesElements
from shared.metricdata.settings import MetricsSettings
from shared.metricdata.source import JobRequest, Loaded, OnlyErrors, SourceRefused, SourceUnavailable

MAX_PROBLEMS = 100  # error texts per load
NEWEST_AHEAD_S = 60  # the clocks of collectors may be ahead
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class _Answer:
    """One element of the store's answer, on the job's time axis."""

    data: FloatArray
    statistics: Statistics
    timestep: int
    first: int  # Unix seconds of the first sample
    end: int

    def may_be_cut(self, start: int, end: int) -> bool:
        """Whether more samples are missing at either end than may still be in transit."""
        return self.first > start + 2 * self.timestep or self.end < end - 2 * self.timestep


@dataclass(slots=True)
class _Window:
    """The time range of a request, and the problems found."""

    cluster: Cluster
    start: int
    end: int
    with_samples: bool = True
    problems: list[str] = field(default_factory=list)

    def problem(self, query: SeriesQuery, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{query.metric.name} of {query.host} ({query.scope}): {text}"[:500])


class CcMetricStore:
    """Adapter of the port MetricSource. An async context manager that owns a client session."""

    def __init__(self, settings: MetricsSettings) -> None:
        self._settings = settings
        token = settings.token
        credentials = Credentials(f"Bearer {token.get_secret_value()}" if token is not None else "")
        self._client = StoreClient(settings.http_limits, credentials)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    def stores(self) -> list[str]:
        """See MetricSource."""
        return [url for url in dict.fromkeys([self._settings.url, *self._settings.cluster_urls.values()]) if url]

    def store_of(self, cluster: str) -> str:
        """See MetricSource."""
        return self._settings.cluster_urls.get(cluster, self._settings.url)

    async def check(self, store: str) -> None:
        """See MetricSource. An empty query must give an empty result."""
        answer = await self._client.send_once(_request(store, orjson.dumps({"queries": []}), "query"))
        if not _is_empty_result(answer):
            raise SourceUnavailable(f"the metric store at {store} returned an invalid answer: {answer.excerpt}")

    async def health(self, cluster: str, hosts: Sequence[str], metrics: Sequence[str]) -> dict[str, HostHealth]:
        """See MetricSource."""
        body = orjson.dumps({"cluster": cluster, "nodes": list(hosts), "metric-names": list(metrics)})
        return read_health(await self._post(self.store_of(cluster), body, "healthcheck"))

    async def load_hosts(self, request: HostsRequest) -> HostsLoaded:
        """See MetricSource. One value that the store cannot encode empties an answer about all hosts; they are then requested in parts."""
        if request.end - request.start > self._settings.max_window_days * _DAY_S:
            raise SourceRefused(f"the window has {request.end - request.start} s, more than max_window_days allows")
        loaded = HostsLoaded()
        url = self.store_of(request.cluster)
        if not url or not request.metrics:
            return loaded
        hosts = request.hosts
        if hosts is None:
            text = await self._post(url, hosts_body(request))
            if text.strip():
                await asyncio.to_thread(read_all_hosts, text, request, loaded)
                return loaded
            hosts = known_hosts(await self._post(url, names_body(request.cluster, request.start, request.metrics)))
        pairs = [(host, metric) for host in hosts for metric in request.metrics]
        size = self._settings.queries
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(pairs), size):
                    group.create_task(self._load_pairs(url, request, pairs[first : first + size], loaded))
        except ExceptionGroup as e:
            raise e.exceptions[0] from e
        return loaded

    async def _load_pairs(self, url: str, request: HostsRequest, pairs: Sequence[tuple[str, Metric]], loaded: HostsLoaded) -> None:
        text = await self._post(url, hosts_body(request, pairs))
        if text.strip():
            await asyncio.to_thread(read_hosts, text, request, pairs, loaded)
        elif len(pairs) == 1:
            loaded.problem(*pairs[0], "a value that JSON cannot represent")
        else:
            half = len(pairs) // 2
            await self._load_pairs(url, request, pairs[:half], loaded)
            await self._load_pairs(url, request, pairs[half:], loaded)

    async def load_newest(self, request: NewestRequest) -> NewestLoaded:
        """See MetricSource. The parts of a host that deliver at different moments may not be combined yet; then an earlier value counts."""
        loaded = NewestLoaded()
        url = self.store_of(request.cluster)
        if not url or not request.metrics:
            return loaded
        end = request.now + NEWEST_AHEAD_S
        text = await self._post(url, newest_body(request, end=end))
        if text.strip():
            errors = await asyncio.to_thread(read_newest, text, request, loaded)
            earlier = request.now - max(metric.timestep for metric in request.metrics)
            await self._newest_of_pairs(url, request, list(errors), loaded, end=earlier)
        else:
            hosts = known_hosts(await self._post(url, names_body(request.cluster, end, request.metrics)))
            await self._newest_of_pairs(
                url, request, [(host, metric.name) for host in hosts for metric in request.metrics], loaded, end=end
            )
        return loaded

    async def _newest_of_pairs(
        self, url: str, request: NewestRequest, pairs: Sequence[tuple[str, str]], loaded: NewestLoaded, *, end: int
    ) -> None:
        size = self._settings.queries
        for first in range(0, len(pairs), size):
            part = pairs[first : first + size]
            text = await self._post(url, newest_body(request, part, end=end))
            if text.strip():
                for (host, metric), error in read_newest(text, request, loaded, part).items():
                    loaded.problem(metric, f"{host}: {error}")
            elif len(part) == 1:
                loaded.problem(part[0][1], f"{part[0][0]}: a value that JSON cannot represent")
            else:
                for half in (part[: len(part) // 2], part[len(part) // 2 :]):
                    await self._newest_of_pairs(url, request, half, loaded, end=end)

    async def load(self, request: JobRequest) -> Loaded:
        """See MetricSource.

        The store does not combine series of different lengths, such as those of a failed device. They are requested one by
        one and combined here. Its series begin at their first sample and are moved to the job's time axis. A value that the
        store cannot encode makes the whole answer empty; the request is halved until that value is isolated.
        """
        if request.duration > self._settings.max_window_days * _DAY_S:
            raise SourceRefused(f"the job ran for {request.duration} s, longer than max_window_days allows")
        if not self.store_of(request.cluster.name):
            return Loaded({})  # this cluster has no store
        window = _Window(request.cluster, request.start, request.start + request.duration, request.with_samples)
        queries = list(queries_of(request))
        answers = await self._ask_all(window, queries)
        data = job_data(queries, await self._combine_doubtful(window, queries, answers))
        if not data and window.problems:
            raise OnlyErrors(f"the metric store returned only errors for the job: {window.problems[0]}")
        return Loaded(data, window.problems)

    async def _combine_doubtful(
        self, window: _Window, queries: Sequence[SeriesQuery], answers: Sequence["_Answer | str | None"]
    ) -> list[_Answer | None]:
        """Request elements one by one and combine them here where the store could not, or may have cut them to the shortest."""
        result: list[_Answer | None] = [None if isinstance(answer, str) else answer for answer in answers]
        doubtful: list[tuple[int, list[SeriesQuery]]] = []
        for index, (query, answer) in enumerate(zip(queries, answers, strict=True)):
            if _is_combined(query) and answer is not None and (isinstance(answer, str) or answer.may_be_cut(window.start, window.end)):
                parts = [
                    SeriesQuery(query.metric, query.scope, query.host, SeriesElements(one, query.elements.kind, (one,)))
                    for one in query.elements.ids
                ]
                doubtful.append((index, parts))
            elif isinstance(answer, str):
                window.problem(query, answer)
        if not doubtful:
            return result
        with_samples = replace(window, with_samples=True)  # needed to combine them
        found = iter(await self._ask_all(with_samples, [part for _, parts in doubtful for part in parts]))
        for index, parts in doubtful:
            elements = [next(found) for _ in parts]
            result[index] = _combined(queries[index], [one for one in elements if isinstance(one, _Answer)]) or result[index]
            if result[index] is None:
                window.problem(queries[index], str(next((one for one in elements if isinstance(one, str)), answers[index])))
        return result

    async def _ask_all(self, window: _Window, queries: Sequence[SeriesQuery]) -> list["_Answer | str | None"]:
        """For each query an answer, an error text, or None without data."""
        size = self._settings.queries
        chunks = [queries[first : first + size] for first in range(0, len(queries), size)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(window, chunk)) for chunk in chunks]
        except ExceptionGroup as e:
            raise e.exceptions[0] from e
        return [answer for task in tasks for answer in task.result()]

    async def _ask(self, window: _Window, queries: Sequence[SeriesQuery]) -> list["_Answer | str | None"]:
        body = orjson.dumps(
            {
                "cluster": window.cluster.name,
                "from": window.start,
                "to": window.end,
                "with-padding": False,  # done here, because the store pads without a limit
                "with-data": window.with_samples,
                "queries": [_query_body(query) for query in queries],
            }
        )
        text = await self._post(self.store_of(window.cluster.name), body)
        if not text.strip():
            if len(queries) == 1:
                return ["a value that JSON cannot represent"]
            half = len(queries) // 2
            return [*await self._ask(window, queries[:half]), *await self._ask(window, queries[half:])]
        return await asyncio.to_thread(_read, text, window, queries)

    async def _post(self, url: str, body: bytes, path: str = "query") -> bytes:
        return (await self._client.send(_request(url, body, path))).body


def _request(url: str, body: bytes, path: str) -> Request:
    """The store expects a GET with a body."""
    params = {"version": "v2"} if path == "query" else None
    return Request(f"{url.rstrip('/')}/api/{path}", params=params, body=body)


def _is_empty_result(answer: Answer) -> bool:
    try:
        return orjson.loads(answer.body)["results"] in ([], None)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _query_body(query: SeriesQuery) -> dict[str, Any]:
    found: dict[str, Any] = {"metric": query.metric.name, "host": query.host, "resolution": 0, "aggreg": len(query.elements.ids) > 1}
    if query.elements.kind is not None:
        found |= {"type": query.elements.kind, "type-ids": query.elements.ids}
    return found


def _read(text: bytes, window: _Window, queries: Sequence[SeriesQuery]) -> list[_Answer | str | None]:
    """The parsed answer. A string in it is an error. Raises SourceUnavailable when the answer is malformed."""
    try:
        results = orjson.loads(text)["results"]
        if len(results) != len(queries):
            raise ValueError(f"{len(results)} results for {len(queries)} queries")
        return [_element(elements, window, query) for elements, query in zip(results, queries, strict=True)]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
        raise SourceUnavailable(f"the metric store returned an invalid answer: {e!r}") from e


def _element(elements: list[dict[str, Any]], window: _Window, query: SeriesQuery) -> _Answer | str | None:
    """A query is for one series; without data the list is empty."""
    if not elements:
        return None
    (found,) = elements
    if error := found.get("error"):
        return str(error)
    timestep = int(found["resolution"]) or query.metric.timestep
    first = int(found["from"])
    if not window.with_samples:
        statistics = stated_alone(found)
        return None if statistics is None else _Answer(np.empty(0), statistics, timestep, first, int(found["to"]))
    if not found.get("data"):
        return None
    data = placed(found["data"], first, timestep, window.start, window.end)
    statistics = stated(found, data)
    return None if statistics is None else _Answer(data, statistics, timestep, first, first + len(found["data"]) * timestep)


def _is_combined(query: SeriesQuery) -> bool:
    return len(query.elements.ids) > 1 and query.metric.aggregation in ("sum", "avg")


def _combined(query: SeriesQuery, parts: Sequence[_Answer]) -> _Answer | None:
    if not parts:
        return None
    data = combine([part.data for part in parts], query.metric.aggregation)
    statistics = statistics_of(data)
    if statistics is None:
        return None
    return _Answer(data, statistics, parts[0].timestep, min(part.first for part in parts), max(part.end for part in parts))
