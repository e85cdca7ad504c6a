"""``GET /api/events/``: changes as server-sent events."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Literal

import structlog
from aiohttp import hdrs, web
from pydantic import BeforeValidator, Field

from services.gateway.call import Call
from services.gateway.errors import RequestError
from services.gateway.frame.credentials import Guard
from services.gateway.frame.layers import lift_deadline
from services.gateway.frame.query import StrictQuery, read_query
from services.gateway.frame.routes import Routes
from services.gateway.live.changes import Change
from services.gateway.live.clients import Viewer, viewer
from services.gateway.live.feed import Follower, Taken
from services.gateway.rest.event_blocks import block, event, position_block
from services.gateway.rest.models import EventStream
from shared.backoff import Backoff, sleep_unless
from shared.errors import Unavailable

log = structlog.get_logger()
routes = Routes[Call]("events", Guard.PAGE)

LAST_EVENT_ID = "Last-Event-ID"
RETRY_MS = 3000
LOOK_S = 2.0  # a disconnected client is noticed by then
MAX_TEXTS = 4  # cached renderings per chunk
MAX_UNSENT = 64 * 1024  # bytes, each in the process and in the kernel


def _split(value: object) -> object:
    """A list, or one text with commas."""
    if not isinstance(value, list):
        return value
    return [part for text in value for part in str(text).split(",") if part]


class EventQuery(StrictQuery):
    kinds: Annotated[list[Literal["job", "node", "rejection"]], BeforeValidator(_split)] = Field(
        [], description="Kinds of changes, also as one value separated by commas; by default the jobs and nodes that the user may see."
    )
    cluster: str | None = Field(None, description="Changes of this cluster only.")
    last_event_id: str | None = Field(
        None, alias="last-event-id", description="Resume after this event; the header `Last-Event-ID` takes precedence."
    )


@routes("GET", "/api/events/", query=EventQuery, answers={200: EventStream}, failures=(400, 503))
async def events(call: Call) -> web.StreamResponse:
    """Follow the changes of jobs and nodes as server-sent events."""
    query = read_query(EventQuery, call.request)
    eyes = viewer(call.user, frozenset(query.kinds), query.cluster)
    after = call.request.headers.get(LAST_EVENT_ID) or query.last_event_id or None
    gateway = call.gateway
    with gateway.live.clients.admitted(call.user.name, "events"):
        follower = await gateway.live.feed.open(after)
        with follower, gateway.live.refused.watched() if "rejection" in eyes.kinds else nullcontext():
            response = web.StreamResponse(
                headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
            )
            _bound_buffers(call.request)
            await response.prepare(call.request)
            lift_deadline(call.request)
            stream = _Stream(call, response, follower, eyes)
            try:
                await stream.run()
                await response.write_eof()
            except ConnectionResetError:
                pass  # the client disconnected
            except TimeoutError:
                gateway.live.numbers.dropped.inc()
                _cut_off(call.request)
            except Exception:  # the head is sent, so no error can follow, and the client must not take this for a regular end
                log.exception("events_crashed", user=call.user.name)
                _cut_off(call.request)
            return response


class _Stream:
    """One event stream, from its first to its last line."""

    def __init__(self, call: Call, response: web.StreamResponse, follower: Follower, eyes: Viewer) -> None:
        self._call = call
        self._response = response
        self._follower = follower
        self._eyes = eyes
        self._scopes = frozenset(call.user.readable_scopes)
        self._keepalive_s = call.gateway.settings.live_keepalive_s
        self._recheck_s = call.gateway.settings.live_recheck_s
        self._written_at = 0.0
        self._refused = 0  # version of the counts that were sent last
        self._sent = call.gateway.live.numbers.events.labels("events")

    async def run(self) -> None:
        """Until the gateway stops, the client disconnects, or its access ends. Raises TimeoutError if the client does not read."""
        feed, clock = self._call.gateway.live.feed, asyncio.get_running_loop().time
        pause = Backoff(first_s=0.2, max_s=5.0)
        await self._write(position_block(self._follower.at, b"retry: %d" % RETRY_MS))
        looked_at = clock()
        while not feed.closed.is_set() and not self._is_gone():
            try:
                taken = await self._follower.take(min(LOOK_S, self._keepalive_s, self._recheck_s))
                pause.reset()
            except Unavailable:
                taken = None
                await sleep_unless(feed.closed, pause.next_s())
            if taken is not None:
                await self._send(taken)
            if "rejection" in self._eyes.kinds:
                await self._send_refused()
            if clock() - self._written_at >= self._keepalive_s:
                await self._write(position_block(self._follower.at, b": still here"))
            if clock() - looked_at >= self._recheck_s:
                looked_at = clock()
                if not await _is_still_good(self._call):
                    await self._write(block(b"end", self._follower.at, {"reason": "the sign-in ended or its rights changed"}))
                    return

    async def _send(self, taken: Taken) -> None:
        if taken.is_reset:
            await self._write(block(b"reset", taken.at, {"reason": "load everything again"}))
            return
        text, number = self._text(taken)
        if text:
            await self._write(text)
            self._sent.inc(number)
        await asyncio.sleep(0)  # many chunks may be ready: let other tasks run

    async def _send_refused(self) -> None:
        refused = self._call.gateway.live.refused
        if refused.counts is not None and refused.version != self._refused:
            self._refused = refused.version
            await self._write(block(b"rejections", self._follower.at, {"counts": dict(refused.counts)}))

    def _text(self, taken: Taken) -> tuple[bytes, int]:
        """The events as text, and their number. Rendered once for all clients that see every job and select the same."""
        chunk = taken.chunk
        if chunk is None or not self._eyes.user.sees_all_jobs:
            return self._joined(taken.changes)
        key = (self._eyes.kinds, self._eyes.cluster, self._scopes & chunk.scopes)
        found = chunk.texts.get(key)
        if found is None:
            found = self._joined(taken.changes)
            if len(chunk.texts) < MAX_TEXTS:
                chunk.texts[key] = found
        return found

    def _joined(self, changes: Sequence[Change]) -> tuple[bytes, int]:
        now = self._call.gateway.clock()
        texts = [event(change, self._scopes, now) for change in changes if self._eyes.admits(change)]
        return b"".join(texts), len(texts)

    async def _write(self, text: bytes) -> None:
        async with asyncio.timeout(2 * self._keepalive_s):
            await self._response.write(text)
        self._written_at = asyncio.get_running_loop().time()

    def _is_gone(self) -> bool:
        transport = self._call.request.transport
        return transport is None or transport.is_closing()


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _bound_buffers(request: web.Request) -> None:
    """Changes that a slow client has not read wait in the database, not in memory."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=MAX_UNSENT)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_UNSENT)


async def _is_still_good(call: Call) -> bool:
    """Whether the credentials still give the same user with the same rights; also true while the database is unavailable."""
    try:
        return await call.gateway.auth.guards.admit(Guard.PAGE, call.request) == call.user
    except RequestError:
        return False
    except Unavailable:
        return True
