"""The HTTP API of Prometheus, also spoken by VictoriaMetrics, Thanos and Mimir. Source: Prometheus, HTTP API, query and query_range."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import orjson

from shared.domain.clusters import Metric
from shared.metricdata.http import HttpLimits, Request, StoreClient
from shared.metricdata.model import FloatArray, Statistics
from shared.metricdata.newest import Value
from shared.metricdata.sampled import Grid, Hosts, Key, QueryRefused, SampledSource
from shared.metricdata.source import SourceUnavailable
from shared.metricdata.store_settings import HOSTS, PrometheusSettings

MAX_POINTS = 11_000  # of one series in one answer; the server refuses more
_READ_ERRORS = (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError)

Json = dict[str, Any]


class Prometheus(SampledSource):
    """Adapter of the port MetricSource. An async context manager that owns a client session.

    The server answers with the newest value before each requested time. Requests are for the end of each step of the grid, so a
    sample is never one that was measured after it.
    """

    def __init__(self, settings: PrometheusSettings, limits: HttpLimits, max_window_days: float) -> None:
        super().__init__(settings, StoreClient(limits, settings.credentials("Bearer")), max_window_days)
        self._settings = settings

    def has(self, metric: str) -> bool:
        """See SampledSource."""
        return metric in self._settings.queries

    async def check(self, store: str) -> None:
        """See MetricSource. A constant must come back."""
        answer = await self._client.send_once(Request(f"{store}/api/v1/query", "POST", form={"query": "vector(1)"}))
        _result(answer.body)

    async def read_samples(self, cluster: str, metric: Metric, hosts: Hosts, grid: Grid) -> dict[Key, FloatArray]:
        """See SampledSource. Long ranges are requested in parts."""
        found: dict[Key, FloatArray] = {}
        expression = self._expression(metric.name, hosts)
        for first in range(0, grid.count, MAX_POINTS):
            last = min(first + MAX_POINTS, grid.count) - 1
            times = [grid.first_edge_ms / 1000 + (k + 1) * grid.timestep for k in (first, last)]
            form = {
                "query": expression,
                "start": f"{times[0]:.3f}",
                "end": f"{times[1]:.3f}",
                "step": str(grid.timestep),
                "lookback_delta": f"{2 * grid.timestep}s",  # ignored by servers that do not know it
            }
            result = await self._ask("query_range", form)
            await asyncio.to_thread(self._place, result, metric, grid, found)
        return found

    async def read_statistics(self, cluster: str, metric: Metric, hosts: Hosts, grid: Grid) -> dict[Key, Statistics]:
        """See SampledSource. Computed by the server."""
        window = f"({self._expression(metric.name, hosts)})[{grid.count * grid.timestep}s:{grid.timestep}s]"
        at = f"{grid.last_edge_ms / 1000:.3f}"
        values: dict[str, dict[Key, float]] = {}
        for kind in ("avg", "min", "max"):
            result = await self._ask("query", {"query": f"{kind}_over_time({window})", "time": at})
            values[kind] = self._values(result, metric)
        return {
            key: Statistics(avg, values["min"][key], values["max"][key])
            for key, avg in values["avg"].items()
            if key in values["min"] and key in values["max"]
        }

    async def read_newest(self, cluster: str, metric: Metric, since: int, now: int) -> dict[Key, Value]:
        """See SampledSource. The time of a query that computes its values is that of the evaluation."""
        expression = self._expression(metric.name, Hosts(None))
        form = {"time": str(now), "lookback_delta": f"{now - since}s"}  # the latter is ignored by servers that do not know it
        values = self._values(await self._ask("query", {"query": expression, **form}), metric)
        times = self._values(await self._ask("query", {"query": f"timestamp({expression})", **form}), metric)
        return {key: Value(int(times[key]), value) for key, value in values.items() if times.get(key, 0.0) >= since}

    async def read_present(self, cluster: str, metric: str, hosts: Hosts) -> frozenset[str]:
        """See SampledSource. An instant query looks back 5 minutes by itself."""
        result = await self._ask("query", {"query": self._expression(metric, hosts)})
        return frozenset(host for series in result if (host := self._host(series)) is not None)

    def _expression(self, metric: str, hosts: Hosts) -> str:
        pattern = hosts.pattern(self._settings.host_suffix)
        return HOSTS.sub(lambda _: pattern, self._settings.queries[metric])

    async def _ask(self, path: str, form: Mapping[str, str]) -> list[Json]:
        url = f"{self._settings.address}/api/v1/{path}"
        answer = await self._client.send(Request(url, "POST", form=form, accepted=frozenset({200, 400, 422})))
        if answer.status != 200:
            raise QueryRefused(_error(answer.body))
        return _result(answer.body)

    def _place(self, result: list[Json], metric: Metric, grid: Grid, found: dict[Key, FloatArray]) -> None:
        """Raises SourceUnavailable when the answer is malformed, QueryRefused when two series cannot be told apart."""
        first_s = grid.first_edge_ms / 1000 + grid.timestep
        seen: set[Key] = set()
        try:
            for series in result:
                key = self._key(series, metric)
                if key is None:
                    continue
                if key in seen:
                    raise QueryRefused(f"more than one series of {key[0]}: the query has to aggregate them")
                seen.add(key)
                data = found.setdefault(key, grid.empty())
                for time, value in series["values"]:
                    number = float(value)
                    if math.isfinite(number):
                        data[round((float(time) - first_s) / grid.timestep)] = number
        except _READ_ERRORS as e:
            raise _unreadable(e) from e

    def _values(self, result: list[Json], metric: Metric) -> dict[Key, float]:
        found: dict[Key, float] = {}
        try:
            for series in result:
                key, number = self._key(series, metric), float(series["value"][1])
                if key in found:
                    raise QueryRefused(f"more than one series of {key[0]}: the query has to aggregate them")
                if key is not None and math.isfinite(number):
                    found[key] = number
        except _READ_ERRORS as e:
            raise _unreadable(e) from e
        return found

    def _key(self, series: Json, metric: Metric) -> Key | None:
        host = self._host(series)
        if host is None:
            return None
        label = self._settings.scope_labels.get(metric.scope) if metric.scope != "node" else None
        return host, series["metric"].get(label) if label else None

    def _host(self, series: Json) -> str | None:
        """None for a series without the label, which belongs to no host."""
        try:
            name = series["metric"].get(self._settings.host_label)
        except _READ_ERRORS as e:
            raise _unreadable(e) from e
        return name.removesuffix(self._settings.host_suffix) if isinstance(name, str) else None


def _result(body: bytes) -> list[Json]:
    try:
        answer = orjson.loads(body)
        if answer["status"] == "success" and isinstance(answer["data"]["result"], list):
            return list(answer["data"]["result"])
    except _READ_ERRORS as e:
        raise _unreadable(e) from e
    raise SourceUnavailable(f"the metric store returned an invalid answer: {body[:200].decode('utf-8', 'replace')}")


def _error(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except _READ_ERRORS:
        return body[:200].decode("utf-8", "replace").strip()


def _unreadable(error: Exception) -> SourceUnavailable:
    return SourceUnavailable(f"the metric store returned an invalid answer: {error!r}"[:500])
