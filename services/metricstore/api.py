"""The HTTP API of cc-metric-store. Source: metrics specification, 2."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import orjson
import structlog
from aiohttp import hdrs, web

from services.metricstore.format import Damaged, Index
from services.metricstore.inspect import dump, health
from services.metricstore.intake import FreeRequest, Intake
from services.metricstore.lines import Decoder, Samples, Source
from services.metricstore.newest import NewestSelection, newest_answer
from services.metricstore.prometheus import MetricStoreNumbers
from services.metricstore.query import answer, select
from services.metricstore.request import BadRequest, read_health_request, read_query, read_selectors
from services.metricstore.store import Key, Store
from services.metricstore.tokens import Denied, TokenCheck
from shared.broker.envelope import CLUSTER_HEADER
from shared.broker.publisher import Outgoing, Publisher
from shared.errors import Unavailable
from shared.metricdata.store_state import ClusterSamples, StoreState

log = structlog.get_logger()

WRITE_DEADLINE_S = 10.0
VISIBLE_WITHIN_S = 1.0  # how long the answer to a write waits for the samples to be visible
FREE_WITHIN_S = 20.0
HEALTH_WINDOW_S = 3600
QUERIES_AT_ONCE = 4
FILES_AT_ONCE = 8  # files whose series are read concurrently for a query
MAX_WAITING_QUERIES = 100  # bounded because each holds its body in memory
QUERY_BEGINS_WITHIN_S = 20.0  # jobtide's own clients give up after 30 s
MAX_MESSAGE_BYTES = 512 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    def __init__(
        self,
        store: Store,
        decoder: Decoder,
        intake: Intake,
        publisher: Publisher,
        tokens: TokenCheck,
        numbers: MetricStoreNumbers,
        *,
        write_subject: str,
        free_subject: str,
        max_samples: int,
    ) -> None:
        self._store = store
        self._catalogue = store.catalogue
        self._newest = NewestSelection(store.catalogue)
        self._decoder = decoder
        self._intake = intake
        self._publisher = publisher
        self._tokens = tokens
        self._numbers = numbers
        self._write_subject = write_subject
        self._free_subject = free_subject
        self._max_samples = max_samples
        self._slots = asyncio.Semaphore(QUERIES_AT_ONCE)
        self._waiting = 0

    def application(self, max_body: int) -> web.Application:
        app = web.Application(client_max_size=max_body)
        for method, path, handler in (
            (hdrs.METH_GET, "query", self._query),
            (hdrs.METH_POST, "write", self._write),
            (hdrs.METH_POST, "free", self._free),
            (hdrs.METH_GET, "debug", self._debug),
            (hdrs.METH_GET, "healthcheck", self._healthcheck),
            (hdrs.METH_GET, "status", self._status),
        ):
            for spelling in (f"/api/{path}", f"/api/{path}/"):
                resource = app.router.add_resource(spelling)
                resource.add_route(method, self._guarded(handler))
                if method == hdrs.METH_GET:
                    resource.add_route(hdrs.METH_HEAD, self._guarded(handler))
        return app

    def _guarded(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                self._tokens.require(request.headers.get(hdrs.AUTHORIZATION, ""))
                return await handler(request)
            except Denied as e:
                return web.Response(status=HTTPStatus.UNAUTHORIZED, text=f"{e}\n")
            except BadRequest as e:
                return _error(HTTPStatus.BAD_REQUEST, str(e))
            except Unavailable as e:
                return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(e))

        return handle

    async def _query(self, request: web.Request) -> web.StreamResponse:
        started = time.perf_counter()
        body = await request.read()
        async with self._slot():
            if request.transport is None:
                raise Unavailable("the client has left")
            question = read_query(body)
            await self._know_files(question.cluster, question.start, question.end)
            if question.newest:
                text = await asyncio.to_thread(newest_answer, self._newest.of(question), question, self._max_samples)
            else:
                text = await asyncio.to_thread(answer, select(self._catalogue, question), self._max_samples)
        self._numbers.query(time.perf_counter() - started)
        return web.Response(body=text, content_type="application/json")

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait for one of ``QUERIES_AT_ONCE`` slots. Raises Unavailable if too many queries wait, or this one has waited too long."""
        if self._waiting >= MAX_WAITING_QUERIES:
            raise Unavailable(f"{self._waiting} queries are waiting already")
        self._waiting += 1
        try:
            async with asyncio.timeout(QUERY_BEGINS_WITHIN_S):
                await self._slots.acquire()
        except TimeoutError as e:
            raise Unavailable(f"the query could not begin within {QUERY_BEGINS_WITHIN_S:g} s because of others") from e
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _know_files(self, cluster: str, start: int, end: int) -> None:
        """Learn which series the files of a window have. Most hours have the series of another, so the first one is read alone."""
        files = self._store.unread_files(cluster, start, end)
        for some in (files[:1], *(files[begin : begin + FILES_AT_ONCE] for begin in range(1, len(files), FILES_AT_ONCE))):
            found = await asyncio.gather(*(asyncio.to_thread(self._index, key, path) for key, path in some))
            for (key, path), index in zip(some, found, strict=True):
                if index is not None:
                    self._store.know(key, path, index)

    def _index(self, key: Key, path: Path) -> Index | None:
        try:
            return self._store.read_index(key, path)
        except FileNotFoundError:
            return None  # replaced or removed in the meantime
        except Damaged:
            self._store.folder.set_aside(path)
            return None

    async def _write(self, request: web.Request) -> web.StreamResponse:
        """Answer once the broker has stored the lines. Valid lines are stored even if the answer is 400 because of others."""
        body, cluster = await request.read(), request.query.get("cluster", "")
        sequences = await self._publisher.publish_raw(
            [Outgoing(self._write_subject, part, {CLUSTER_HEADER: cluster} if cluster else {}) for part in _parts(body)],
            deadline_s=WRITE_DEADLINE_S,
        )
        if sequences:
            await self._intake.wait_for(max(sequences), VISIBLE_WITHIN_S)
        mistake = await self._mistake(body, Source(cluster))
        if mistake:
            return _error(HTTPStatus.BAD_REQUEST, mistake)
        return web.Response(content_type="application/json")

    async def _mistake(self, body: bytes, source: Source) -> str:
        """The error of the first invalid line. Other requests are answered between pieces of the body."""
        line = 1
        for piece in _pieces(body):
            samples = Samples()
            self._decoder.decode(piece, source, 0, samples, first_line=line)
            if samples.mistake:
                return samples.mistake
            line += piece.count(b"\n")
            await asyncio.sleep(0)
        return ""

    async def _free(self, request: web.Request) -> web.StreamResponse:
        """Publish the request between the lines, so that it has the same effect when the stream is read again."""
        to = request.query.get("to", "")
        try:
            before = int(to)
        except ValueError as e:
            raise BadRequest(f"to: {to!r} is not a Unix time in seconds") from e
        selectors = read_selectors(await request.read())
        message = FreeRequest(to=before, selectors=selectors).model_dump_json().encode()
        (sequence,) = await self._publisher.publish_raw([Outgoing(self._free_subject, message)], deadline_s=WRITE_DEADLINE_S)
        if not await self._intake.wait_for(sequence, FREE_WITHIN_S):
            raise Unavailable("the request is recorded, and will be carried out after the lines before it")
        return web.Response(text=f"buffers freed: {self._intake.freed.get(sequence, 0)}\n")

    async def _debug(self, request: web.Request) -> web.StreamResponse:
        selector = [name for name in request.query.get("selector", "").split(":", 3) if name]
        found = await asyncio.to_thread(dump, self._catalogue, selector)
        return web.Response(body=orjson.dumps({"data": found}), content_type="application/json")

    async def _healthcheck(self, request: web.Request) -> web.StreamResponse:
        asked, now = read_health_request(await request.read()), time.time()
        await self._know_files(asked.cluster, int(now) - HEALTH_WINDOW_S, int(now))  # after a restart, memory lacks samples of minutes ago
        found = health(self._catalogue, asked, now)
        for host in found.values():  # the API has an object as text here, empty for an unknown host
            host["HealthMetrics"] = "" if host["HealthMetrics"] is None else orjson.dumps(host["HealthMetrics"]).decode()
        return web.Response(body=orjson.dumps(found) + b"\n", content_type="application/json")

    async def _status(self, request: web.Request) -> web.StreamResponse:
        """Not part of cc-metric-store's API."""
        store, tally = self._store, self._numbers.tally
        try:
            lag = max(0, (await self._intake.place()).end - self._intake.applied)
        except Unavailable:
            lag = None
        extents = {name: store.extent(name) for name in list(self._catalogue.clusters)}
        state = StoreState(
            stream=self._intake.stream,
            position=self._intake.applied,
            lag=lag,
            samples=tally.samples,
            samples_per_s=round(tally.per_second, 1),
            refused=dict(tally.refused),
            expired=tally.expired,
            series=len(self._catalogue.series),
            memory_bytes=store.memory_bytes(),
            files=len(store.folder.files),
            file_bytes=store.folder.size,
            clusters={name: ClusterSamples(oldest=oldest, newest=newest) for name, (oldest, newest) in extents.items()},
        )
        return web.Response(text=state.model_dump_json(by_alias=True), content_type="application/json")


def _error(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"status": status.phrase, "error": text}), content_type="application/json")


def _pieces(body: bytes) -> Iterator[bytes]:
    """Split the body between lines into pieces within the broker's message limit; a longer line is a separate piece."""
    begin = 0
    while begin < len(body):
        end = len(body)
        if end - begin > MAX_MESSAGE_BYTES:
            end = body.rfind(b"\n", begin, begin + MAX_MESSAGE_BYTES) + 1 or body.find(b"\n", begin) + 1 or len(body)
        yield body[begin:end]
        begin = end


def _parts(body: bytes) -> list[bytes]:
    """The messages of a body. A line longer than the limit would be refused anyway."""
    return [piece for piece in _pieces(body) if len(piece) <= MAX_MESSAGE_BYTES and piece.strip()]
