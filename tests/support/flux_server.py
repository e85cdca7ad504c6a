"""A simulated InfluxDB 2, which is not packaged. It answers only the Flux queries that jobtide sends, over given points."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean

from aiohttp import web

_SAMPLES = re.compile(
    r'from\(bucket: "(?P<bucket>\w+)"\) \|> range\(start: (?P<start>\S+Z), stop: (?P<stop>\S+Z)\)'
    r' \|> filter\(fn: \(r\) => r\._measurement == "(?P<metric>\w+)" and r\._field == "value"'
    r'(?: and r\["hostname"\] =~ /(?P<hosts>\^\S+\$)/)? and r\["type"\] == "(?P<type>\w+)"\)'
    r' \|> group\(columns: (?P<group>\["hostname"(?:,"type-id")?\])\)'
    r" \|> aggregateWindow\(every: (?P<every>\d+)ms, offset: (?P<offset>\d+)ms, fn: mean, createEmpty: false, timeSrc: \"_start\"\)"
    r' \|> keep\(columns: \["_time","_value","hostname"(?:,"type-id")?\]\)'
)
_PRESENT = re.compile(
    r'from\(bucket: "(?P<bucket>\w+)"\) \|> range\(start: -300s\)'
    r' \|> filter\(fn: \(r\) => r\._measurement == "(?P<metric>\w+)" and r\._field == "value" and r\["hostname"\] =~ /(?P<hosts>\S+)/\)'
    r' \|> group\(columns: \["hostname"\]\) \|> last\(\)'
)
_NEWEST = re.compile(
    r'from\(bucket: "(?P<bucket>\w+)"\) \|> range\(start: (?P<start>\S+Z), stop: (?P<stop>\S+Z)\)'
    r' \|> filter\(fn: \(r\) => r\._measurement == "(?P<metric>\w+)" and r\._field == "value" and r\["type"\] == "(?P<type>\w+)"\)'
    r' \|> group\(columns: (?P<group>\["hostname"(?:,"type-id")?\])\) \|> sort\(columns: \["_time"\]\) \|> last\(\)'
    r' \|> keep\(columns: \["_time","_value","hostname"(?:,"type-id")?\]\)'
)
_CHECK = re.compile(r'from\(bucket: "(?P<bucket>\w+)"\) \|> range\(start: -1s\) \|> limit\(n: 1\)')


@dataclass(frozen=True, slots=True)
class Point:
    metric: str
    host: str
    type: str
    id: str
    time: int
    value: float


@dataclass
class FluxServer:
    bucket: str
    points: list[Point]
    token: str = "secret"
    unexpected: list[str] = field(default_factory=list)

    async def query(self, request: web.Request) -> web.Response:
        body = await request.json()
        query = body["query"]
        if request.headers.get("Authorization") != f"Token {self.token}":
            return web.json_response({"code": "unauthorized", "message": "unauthorized access"}, status=401)
        dialect = {"annotations": [], "header": True, "delimiter": ","}
        forms: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
            (_SAMPLES, self._samples),
            (_PRESENT, self._present),
            (_NEWEST, self._newest),
            (_CHECK, lambda _: "\r\n"),
        ]
        for form, run in forms:
            if (
                (match := form.fullmatch(query))
                and request.query["org"] == "site"
                and body["dialect"] == dialect
                and body["type"] == "flux"
            ):
                if match["bucket"] != self.bucket:
                    return web.json_response({"code": "not found", "message": "could not find bucket"}, status=404)
                return web.Response(text=run(match), content_type="text/csv")
        self.unexpected.append(query)
        return web.json_response({"code": "invalid", "message": "unexpected query"}, status=400)

    def _samples(self, query: re.Match[str]) -> str:
        start, stop, every, offset = _ms(query["start"]), _ms(query["stop"]), int(query["every"]), int(query["offset"])
        assert start % every == offset
        steps: dict[tuple[str, str, int], list[float]] = {}
        for point in self.points:
            is_wanted = point.metric == query["metric"] and point.type == query["type"] and re.match(query["hosts"] or "", point.host)
            if is_wanted and start <= point.time * 1000 < stop:
                element = point.id if "type-id" in query["group"] else ""
                edge = start + (point.time * 1000 - start) // every * every
                steps.setdefault((point.host, element, edge), []).append(point.value)
        tables: dict[tuple[str, str], list[str]] = {}
        for (host, element, edge), values in sorted(steps.items()):
            at = datetime.fromtimestamp(edge / 1000, UTC).isoformat().replace("+00:00", "Z")
            tables.setdefault((host, element), []).append(f",_result,{len(tables)},{at},{fmean(values)},{host},{element}")
        header = ",result,table,_time,_value,hostname,type-id"
        return "\r\n\r\n".join("\r\n".join([header, *rows]) for rows in tables.values()) + "\r\n"

    def _newest(self, query: re.Match[str]) -> str:
        start, stop = _ms(query["start"]), _ms(query["stop"])
        newest: dict[tuple[str, str], Point] = {}
        for point in sorted(self.points, key=lambda point: point.time):
            if point.metric == query["metric"] and point.type == query["type"] and start <= point.time * 1000 < stop:
                newest[point.host, point.id if "type-id" in query["group"] else ""] = point
        rows = [
            f",_result,{table},{datetime.fromtimestamp(point.time, UTC).isoformat().replace('+00:00', 'Z')},{point.value},{host},{element}"
            for table, ((host, element), point) in enumerate(sorted(newest.items()))
        ]
        return "\r\n".join([",result,table,_time,_value,hostname,type-id", *rows]) + "\r\n"

    def _present(self, query: re.Match[str]) -> str:
        edge = datetime.now(UTC).timestamp() - 300
        hosts = {p.host for p in self.points if p.metric == query["metric"] and p.time > edge and re.match(query["hosts"], p.host)}
        rows = [f",_result,{table},2026-01-01T00:00:00Z,1,{host}" for table, host in enumerate(sorted(hosts))]
        return "\r\n".join([",result,table,_time,_value,hostname", *rows]) + "\r\n"


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@asynccontextmanager
async def flux_server(server: FluxServer) -> AsyncIterator[str]:
    """The address of the server."""
    app = web.Application()
    app.router.add_post("/api/v2/query", server.query)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
