"""InfluxDB version 2, by Flux. Source: InfluxDB 2.x, HTTP API /api/v2/query, annotated CSV."""

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from shared.domain.clusters import Metric
from shared.metricdata.http import HttpLimits, Request, StoreClient
from shared.metricdata.influx_rows import InfluxRow, hosts_in, newest_of, placed_rows
from shared.metricdata.model import FloatArray
from shared.metricdata.newest import FRESH_S, Value
from shared.metricdata.sampled import Grid, Hosts, Key, QueryRefused, SampledSource
from shared.metricdata.source import SourceUnavailable
from shared.metricdata.store_settings import InfluxSettings


class Flux(SampledSource):
    """Adapter of the port MetricSource. An async context manager that owns a client session.

    A step without a measurement has no value; several in one step give their mean.
    """

    def __init__(self, settings: InfluxSettings, limits: HttpLimits, max_window_days: float) -> None:
        super().__init__(settings, StoreClient(limits, settings.credentials("Token")), max_window_days)
        self._settings = settings

    def has(self, metric: str) -> bool:
        """See SampledSource. A measurement that does not exist has no series."""
        return True

    async def check(self, store: str) -> None:
        """See MetricSource. The bucket must exist."""
        answer = await self._client.send_once(
            self._request(f"from(bucket: {_text(self._settings.database)}) |> range(start: -1s) |> limit(n: 1)")
        )
        if answer.status != 200:
            raise SourceUnavailable(f"the metric store at {store}: {_error(answer.body)}")

    async def read_samples(self, cluster: str, metric: Metric, hosts: Hosts, grid: Grid) -> dict[Key, FloatArray]:
        """See SampledSource."""
        conditions = self._selection(cluster, metric.name, hosts) + self._scope(metric)
        has_elements, tags = self._has_elements(metric), self._columns(metric)
        step_ms = grid.timestep * 1000
        query = (
            f"from(bucket: {_text(self._settings.database)})"
            f" |> range(start: {_time(grid.first_edge_ms)}, stop: {_time(grid.last_edge_ms)})"
            f" |> filter(fn: (r) => {' and '.join(conditions)})"
            f" |> group(columns: {orjson.dumps(tags).decode()})"
            f" |> aggregateWindow(every: {step_ms}ms, offset: {grid.first_edge_ms % step_ms}ms, fn: mean, createEmpty: false,"
            ' timeSrc: "_start")'
            f" |> keep(columns: {orjson.dumps(['_time', '_value', *tags]).decode()})"
        )
        body = await self._ask(query)
        return await asyncio.to_thread(lambda: placed_rows(_rows(body, self._settings, has_elements=has_elements), grid))

    async def read_newest(self, cluster: str, metric: Metric, since: int, now: int) -> dict[Key, Value]:
        """See SampledSource."""
        has_elements = self._has_elements(metric)
        columns = self._columns(metric)
        query = (
            f"from(bucket: {_text(self._settings.database)})"
            f" |> range(start: {_time(since * 1000)}, stop: {_time((now + 1) * 1000)})"
            f" |> filter(fn: (r) => {' and '.join([*self._selection(cluster, metric.name, Hosts(None)), *self._scope(metric)])})"
            f" |> group(columns: {orjson.dumps(columns).decode()})"
            f" |> sort(columns: {orjson.dumps(['_time']).decode()}) |> last()"
            f" |> keep(columns: {orjson.dumps(['_time', '_value', *columns]).decode()})"
        )
        body = await self._ask(query)
        return await asyncio.to_thread(lambda: newest_of(_rows(body, self._settings, has_elements=has_elements)))

    async def read_present(self, cluster: str, metric: str, hosts: Hosts) -> frozenset[str]:
        """See SampledSource."""
        query = (
            f"from(bucket: {_text(self._settings.database)}) |> range(start: -{FRESH_S}s)"
            f" |> filter(fn: (r) => {' and '.join(self._selection(cluster, metric, hosts))})"
            f" |> group(columns: {orjson.dumps([self._settings.host_tag]).decode()}) |> last()"
        )
        return hosts_in(_rows(await self._ask(query), self._settings, has_elements=False))

    def _has_elements(self, metric: Metric) -> bool:
        return metric.scope != "node" and bool(self._settings.type_tag)

    def _columns(self, metric: Metric) -> list[str]:
        """What tells the series of a metric apart."""
        return [self._settings.host_tag] + ([self._settings.id_tag] if self._has_elements(metric) else [])

    def _scope(self, metric: Metric) -> list[str]:
        return [f"r[{_text(self._settings.type_tag)}] == {_text(metric.scope)}"] if self._settings.type_tag else []

    def _selection(self, cluster: str, metric: str, hosts: Hosts) -> list[str]:
        measurement, field = self._settings.measurement_of(metric)
        found = [f"r._measurement == {_text(measurement)}", f"r._field == {_text(field)}"]
        if hosts.names is not None:
            found.append(f"r[{_text(self._settings.host_tag)}] =~ /^{hosts.pattern()}$/")
        if self._settings.cluster_tag:
            found.append(f"r[{_text(self._settings.cluster_tag)}] == {_text(cluster)}")
        return found

    async def _ask(self, query: str) -> bytes:
        answer = await self._client.send(self._request(query))
        if answer.status != 200:
            raise QueryRefused(_error(answer.body))
        return answer.body

    def _request(self, query: str) -> Request:
        return Request(
            f"{self._settings.url.rstrip('/')}/api/v2/query",
            "POST",
            params={"org": self._settings.org},
            body=orjson.dumps({"query": query, "type": "flux", "dialect": {"annotations": [], "header": True, "delimiter": ","}}),
            headers={"Content-Type": "application/json", "Accept": "application/csv"},
            accepted=frozenset({200, 400, 404, 422}),
        )


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${").replace("\n", "\\n")
    return f'"{escaped}"'


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rows(body: bytes, settings: InfluxSettings, *, has_elements: bool) -> Iterator[InfluxRow]:
    """Tables are separated by empty lines, each with its own header. Raises SourceUnavailable when the answer is malformed."""
    try:
        header: list[str] | None = None
        for line in csv.reader(io.StringIO(body.decode())):
            if not line:
                header = None
            elif header is None:
                header = line
                if "error" not in header and not {"_time", "_value", settings.host_tag} <= set(header):
                    raise ValueError(f"a table of {', '.join(header)}"[:200])
            elif "error" in header:
                raise QueryRefused(dict(zip(header, line, strict=True))["error"])
            else:
                cells = dict(zip(header, line, strict=True))
                host = cells.get(settings.host_tag)
                if host and cells["_value"]:
                    element = cells.get(settings.id_tag) or None if has_elements else None
                    yield InfluxRow(host, element, _ms(cells["_time"]), float(cells["_value"]))
    except (KeyError, ValueError, UnicodeDecodeError, csv.Error) as e:
        raise SourceUnavailable(f"the metric store returned an invalid answer: {e!r}"[:500]) from e


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _error(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace").strip()
