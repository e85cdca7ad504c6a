"""InfluxDB version 1, by InfluxQL. Source: InfluxDB 1.x, HTTP API /query."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from shared.domain.clusters import Metric
from shared.metricdata.http import HttpLimits, Request, StoreClient
from shared.metricdata.influx_rows import InfluxRow, hosts_in, newest_of, placed_rows
from shared.metricdata.model import FloatArray
from shared.metricdata.newest import FRESH_S, Value
from shared.metricdata.sampled import Grid, Hosts, Key, QueryRefused, SampledSource
from shared.metricdata.source import SourceUnavailable
from shared.metricdata.store_settings import InfluxSettings

Json = dict[str, Any]


class InfluxQl(SampledSource):
    """Adapter of the port MetricSource. An async context manager that owns a client session.

    A step without a measurement has no value; several in one step give their mean.
    """

    def __init__(self, settings: InfluxSettings, limits: HttpLimits, max_window_days: float) -> None:
        super().__init__(settings, StoreClient(limits, settings.credentials("Bearer")), max_window_days)
        self._settings = settings

    def has(self, metric: str) -> bool:
        """See SampledSource. A measurement that does not exist has no series."""
        return True

    async def check(self, store: str) -> None:
        """See MetricSource. The database must exist."""
        answer = await self._client.send_once(self._request("SHOW MEASUREMENTS LIMIT 1"))
        try:
            list(_rows(answer.body, self._settings))
        except QueryRefused as e:
            raise SourceUnavailable(f"the metric store at {store}: {e}") from e

    async def read_samples(self, cluster: str, metric: Metric, hosts: Hosts, grid: Grid) -> dict[Key, FloatArray]:
        """See SampledSource."""
        measurement, field = self._settings.measurement_of(metric.name)
        conditions = [*self._selection(cluster, hosts), f"time >= {grid.first_edge_ms}ms", f"time < {grid.last_edge_ms}ms"]
        step_ms = grid.timestep * 1000
        conditions += self._scope(metric)
        groups = [f"time({step_ms}ms, {grid.first_edge_ms % step_ms}ms)", *self._tags(metric)]
        query = self._select(f"mean({_name(field)})", measurement, conditions, groups) + " fill(none)"
        answer = await self._client.send(self._request(query))
        return await asyncio.to_thread(lambda: placed_rows(_rows(answer.body, self._settings), grid))

    async def read_newest(self, cluster: str, metric: Metric, since: int, now: int) -> dict[Key, Value]:
        """See SampledSource."""
        measurement, field = self._settings.measurement_of(metric.name)
        conditions = [*self._selection(cluster, Hosts(None)), *self._scope(metric), f"time >= {since}s", f"time <= {now}s"]
        query = self._select(f"last({_name(field)})", measurement, conditions, self._tags(metric))
        answer = await self._client.send(self._request(query))
        return await asyncio.to_thread(lambda: newest_of(_rows(answer.body, self._settings)))

    async def read_present(self, cluster: str, metric: str, hosts: Hosts) -> frozenset[str]:
        """See SampledSource."""
        measurement, field = self._settings.measurement_of(metric)
        conditions = [*self._selection(cluster, hosts), f"time > now() - {FRESH_S}s"]
        query = self._select(f"last({_name(field)})", measurement, conditions, [_name(self._settings.host_tag)])
        answer = await self._client.send(self._request(query))
        return hosts_in(_rows(answer.body, self._settings))

    def _scope(self, metric: Metric) -> list[str]:
        return [f"{_name(self._settings.type_tag)} = {_text(metric.scope)}"] if self._settings.type_tag else []

    def _tags(self, metric: Metric) -> list[str]:
        """What tells the series of a metric apart."""
        has_elements = metric.scope != "node" and bool(self._settings.type_tag)
        return [_name(self._settings.host_tag)] + ([_name(self._settings.id_tag)] if has_elements else [])

    def _selection(self, cluster: str, hosts: Hosts) -> list[str]:
        found = [] if hosts.names is None else [f"{_name(self._settings.host_tag)} =~ /^{hosts.pattern()}$/"]
        return found + ([f"{_name(self._settings.cluster_tag)} = {_text(cluster)}"] if self._settings.cluster_tag else [])

    def _select(self, value: str, measurement: str, conditions: Sequence[str], groups: Sequence[str]) -> str:
        policy = self._settings.retention_policy
        source = f"{_name(policy)}.{_name(measurement)}" if policy else _name(measurement)
        return " ".join(["SELECT", value, "FROM", source, "WHERE", " AND ".join(conditions), "GROUP BY", ", ".join(groups)])

    def _request(self, query: str) -> Request:
        url = f"{self._settings.url.rstrip('/')}/query"
        form = {"db": self._settings.database, "q": query, "epoch": "ms"}
        return Request(url, "POST", form=form, accepted=frozenset({200, 400}))


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _rows(body: bytes, settings: InfluxSettings) -> Iterator[InfluxRow]:
    """Raises QueryRefused for an error in the answer, SourceUnavailable when it is malformed."""
    try:
        answer = orjson.loads(body)
        if error := answer.get("error") or answer["results"][0].get("error"):
            raise QueryRefused(str(error))
        for series in answer["results"][0].get("series") or ():
            tags = series.get("tags") or {}
            host, element = tags.get(settings.host_tag) or None, tags.get(settings.id_tag) or None
            for row in series["values"]:
                if host is not None and row[1] is not None:
                    yield InfluxRow(str(host), element, int(row[0]), float(row[1]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        raise SourceUnavailable(f"the metric store returned an invalid answer: {e!r}"[:500]) from e
