"""A server that answers queries like cc-metric-store, over given or written samples. Its answers are compared with recorded ones."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Samples = dict[int, float]  # slot to value; slot k is at first + k * step


@dataclass
class Stored:
    """One series: ``first`` is the time of slot 0; missing slots are NaN, the series ends with its last one."""

    first: int
    step: int
    samples: Samples

    def read(self, start: int, end: int) -> tuple[list[float], int]:
        """The values of the slots in the window, and the start time that the store reports."""
        begin = self.first - self.step // 2
        start = max(start, self.first)
        slot = (start - begin) // self.step
        last = max(self.samples)
        values = []
        at = start
        while at < end and slot <= last:
            values.append(self.samples.get(slot, math.nan))
            slot += 1
            at += self.step
        return values, start


@dataclass
class Level:
    metrics: dict[str, Stored] = field(default_factory=dict)
    children: dict[str, "Level"] = field(default_factory=dict)

    def holders(self, metric: str) -> Iterator[Stored]:
        """The first level with the metric on each branch."""
        if metric in self.metrics:
            yield self.metrics[metric]
            return
        for child in self.children.values():
            yield from child.holders(metric)

    def all(self, metric: str) -> Iterator[Stored]:
        """Every series of the metric, here and below."""
        if metric in self.metrics:
            yield self.metrics[metric]
        for child in self.children.values():
            yield from child.all(metric)


@dataclass
class MetricStore:
    """``metrics``: name to (step, aggregation). ``mood`` spoils the next answers: a function of the request, or None."""

    metrics: dict[str, tuple[int, str | None]]
    clusters: dict[str, dict[str, Level]] = field(default_factory=dict)
    token: str | None = None
    requests: int = 0
    queries: int = 0
    mood: Any = None
    now: int = 0  # for the health of hosts, and for samples without a time

    def add(self, cluster: str, host: str, component: str | None, metric: str, first: int, samples: Samples) -> None:
        level = self.clusters.setdefault(cluster, {}).setdefault(host, Level())
        if component is not None:
            level = level.children.setdefault(component, Level())
        level.metrics[metric] = Stored(first, self.metrics[metric][0], samples)

    def write(self, text: str, cluster: str = "") -> None:
        """Store lines of line protocol with one field ``value``, and optionally a time in seconds; unknown metrics are ignored."""
        for line in text.splitlines():
            head, field, *times = line.split()
            metric, *pairs = head.split(",")
            tags = dict(pair.split("=", 1) for pair in pairs)
            if metric not in self.metrics or field.partition("=")[0] != "value":
                continue
            level = self.clusters.setdefault(tags.get("cluster", cluster), {}).setdefault(tags["hostname"], Level())
            component = tags.get("type", "node") + tags.get("type-id", "")
            if tags.get("type", "node") != "node":
                level = level.children.setdefault(component, Level())
            self._keep(level, metric, int(times[0]) if times else self.now, float(field.partition("=")[2].rstrip("iu")))

    def _keep(self, level: Level, metric: str, at: int, value: float) -> None:
        stored = level.metrics.setdefault(metric, Stored(at, self.metrics[metric][0], {}))
        slot = (at - (stored.first - stored.step // 2)) // stored.step
        if slot >= 0:  # older samples are dropped
            stored.samples[slot] = value

    def answer(self, request: dict[str, Any]) -> bytes:
        """The text of the answer."""
        generated = [
            {"metric": metric, "host": host, "resolution": 0, "aggreg": False}
            for metrics in [request.get("for-all-nodes")]
            if metrics is not None
            for host in self.clusters.get(request.get("cluster", ""), {})
            for metric in metrics
        ]
        results = [self._query(request, query) for query in [*(request.get("queries") or []), *generated]]
        self.queries += len(results)
        flags = bool(request.get("with-data", True)), bool(request.get("with-stats", True))
        texts = [[_element(one, *flags) for one in elements] for elements in results]
        if any(text is None for elements in texts for text in elements):
            return b""  # infinity cannot be written
        head = f'"queries":{orjson.dumps(generated).decode()},' if generated else ""
        return (
            "{" + head + '"results":[' + ",".join("[" + ",".join(str(text) for text in elements) + "]" for elements in texts) + "]}\n"
        ).encode()

    def _query(self, request: dict[str, Any], query: dict[str, Any]) -> list[dict[str, Any]]:
        kind, ids = query.get("type"), query.get("type-ids") or []
        if kind is None:
            selectors: list[list[str] | None] = [None]
        elif query.get("aggreg"):
            selectors = [[f"{kind}{one}" for one in ids]] if ids else []
        else:
            selectors = [[f"{kind}{one}"] for one in ids]
        found = (self._select(request, query, selector) for selector in selectors)
        return [one for one in found if one is not None]

    def _select(self, request: dict[str, Any], query: dict[str, Any], components: list[str] | None) -> dict[str, Any] | None:
        start, end, metric = request["from"], request["to"], query["metric"]
        if start > end:
            return {"error": "[METRICSTORE]> invalid time range"}
        if metric not in self.metrics:
            return {"error": f"[METRICSTORE]> unknown metric: {metric}"}
        host = self.clusters.get(request.get("cluster", ""), {}).get(query["host"])
        if host is None:
            return None
        levels = [host] if components is None else [host.children[one] for one in components if one in host.children]
        sources = [stored for level in levels for stored in level.holders(metric)]
        if not sources:
            return None
        step, aggregation = self.metrics[metric]
        resolution = query.get("resolution") or 0
        if resolution > step and resolution % step:
            return {"error": f"new sampling frequency ({resolution}) must be a multiple of old frequency ({step})"}
        combined = self._combine(sources, start, end, step, aggregation)
        if isinstance(combined, str):
            return {"error": f"[METRICSTORE]> {combined}"}
        data, first = combined
        if not data and sources[0].first < start:
            first = start
        leading = first // step - start // step if request.get("with-padding", True) and first > start else 0
        return {"data": [math.nan] * leading + data, "from": first, "to": first + len(data) * step, "resolution": step}

    @staticmethod
    def _combine(sources: list[Stored], start: int, end: int, step: int, aggregation: str | None) -> tuple[list[float], int] | str:
        data, first = sources[0].read(start, end)
        if len(sources) == 1:
            return data, first
        if aggregation is None:
            return "no aggregation"
        total = list(data)
        for source in sources[1:]:
            values, begins = source.read(first, first + len(data) * step)
            if (begins - first) // step:
                return "data from lower granularities does not align (missing data prior to start of the buffers)"
            if len(values) < len(total):
                return "data from lower granularities does not align (missing data after the end of the buffers)"
            total = [one + other for one, other in zip(total, values, strict=False)]
            first = begins
        return ([value / len(sources) for value in total] if aggregation == "avg" else total), first

    async def handle_write(self, request: web.Request) -> web.StreamResponse:
        self.write(await request.text(), request.query.get("cluster", ""))
        return web.Response()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="Use JWT Authentication\n")
        body = orjson.loads(await request.read())
        if self.mood is not None:
            spoiled: web.StreamResponse | None = await self.mood(body)
            if spoiled is not None:
                return spoiled
        is_health = request.path.rstrip("/").endswith("healthcheck")
        return web.Response(body=self.health(body) if is_health else self.answer(body), content_type="application/json")

    def health(self, request: dict[str, Any]) -> bytes:
        """The text of the answer to a health check."""
        hosts = self.clusters.get(request["cluster"], {})
        answer = {}
        for host in request.get("nodes") or []:
            if host not in hosts:
                answer[host] = {"State": "failed", "HealthMetrics": ""}
                continue
            wanted = request.get("metric-names") or []
            series = {metric: list(hosts[host].all(metric)) for metric in wanted}
            missing = [metric for metric in wanted if not series[metric]]
            degraded = [metric for metric in wanted if any(self._is_stale(stored) for stored in series[metric])]
            healthy = len(wanted) - len(missing) - len(degraded)
            state = "full" if healthy == len(wanted) else "partial" if healthy else "failed"
            answer[host] = {"State": state, "HealthMetrics": orjson.dumps({"degraded": degraded, "missing": missing}).decode()}
        return orjson.dumps(answer)

    def _is_stale(self, stored: Stored) -> bool:
        end = stored.first + (max(stored.samples) + 1) * stored.step
        return self.now - end > 5 * stored.step


def _element(found: dict[str, Any], with_data: bool, with_stats: bool) -> str | None:
    if "error" in found:
        text = orjson.dumps(found["error"]).decode().replace(">", "\\u003e")
        return f'{{"error":{text},"from":0,"to":0,"resolution":0,"avg":0.00,"min":0.00,"max":0.00}}'
    present = [value for value in found["data"] if not math.isnan(value)]
    if any(math.isinf(value) for value in present) or math.isinf(sum(present)):
        return None
    data = ",".join("null" if math.isnan(value) else f"{value:.3f}" for value in found["data"])
    numbers = [f"{number:.2f}" for number in (sum(present) / len(present), min(present), max(present))] if present else ["null"] * 3
    if not with_stats:
        numbers = ["0.00"] * 3
    head = f'"data":[{data}],' if found["data"] and with_data else ""
    return (
        f'{{{head}"from":{found["from"]},"to":{found["to"]},"resolution":{found["resolution"]},'
        f'"avg":{numbers[0]},"min":{numbers[1]},"max":{numbers[2]}}}'
    )


@asynccontextmanager
async def serving(store: MetricStore, port: int = 0) -> AsyncIterator[str]:
    """Yields the store's address; ``port`` is that of an earlier one, to come back under the same address."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/api/write", store.handle_write)
    app.router.add_post("/api/write/", store.handle_write)
    app.router.add_get("/api/query", store.handle)
    app.router.add_get("/api/query/", store.handle)
    app.router.add_get("/api/healthcheck", store.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()
