"""One connection: its phases and their time limits, and the response to malformed requests."""

import asyncio
import fcntl
import sys
import termios
from http import HTTPStatus
from typing import Any, Protocol

import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage

from shared.http.limits import HttpLimits
from shared.http.numbers import HttpNumbers

log = structlog.get_logger()

SERVER = "jobtide"  # without a version
RESERVE_HEAD_TIMEOUT_S = 2.0


def is_gone(request: web.BaseRequest) -> bool:
    """Whether the client has disconnected."""
    return request.transport is None or request.transport.is_closing()


class Registry(Protocol):
    """Keeps track of open connections."""

    numbers: HttpNumbers

    def add(self, connection: "Connection") -> None: ...

    def remove(self, connection: "Connection") -> None: ...


class Connection(web.RequestHandler):
    """A connection waits for a request, then a handler works on it, then its answer is sent.

    ``is_reserve`` marks one above the limits: it serves one request, for a health page.
    """

    def __init__(self, server: web.Server, registry: Registry, limits: HttpLimits, address: str, *, is_reserve: bool) -> None:
        # aiohttp would inflate bodies before any handler runs, all of a received chunk at once, for unknown paths and callers too.
        super().__init__(server, loop=asyncio.get_running_loop(), auto_decompress=False, keepalive_timeout=limits.idle_timeout_s)
        self.address = address
        self.is_reserve = is_reserve
        self._registry = registry
        self._stall_timeout_s = limits.stall_timeout_s
        self._body_timeout_s = limits.body_timeout_s
        self._head_timeout_s = RESERVE_HEAD_TIMEOUT_S if is_reserve else limits.head_timeout_s
        self._socket: asyncio.Transport | None = None  # the base class drops its reference when it closes, even if data are unsent
        self._request: web.BaseRequest | None = None
        self._request_since = 0.0
        self._is_waiting = True
        self._head_since: float | None = self._loop.time()
        self._unsent_bytes = 0
        self._progress_at = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being handled."""
        return self._is_waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._socket = transport
        self._registry.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._registry.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if data and self._is_waiting and self._head_since is None:
            self._head_since = self._loop.time()
        super().data_received(data)
        # aiohttp queues the error of a broken chunk as the next request, and leaves the reader of the body waiting.
        if self._request is not None and self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            content = self._request.content
            if not content.is_eof():
                content.set_exception(web.RequestPayloadError("malformed transfer coding"))
                content.feed_eof()

    def begin(self, request: web.BaseRequest) -> None:
        """The head of a request is complete, its handler begins."""
        self._request, self._request_since = request, self._loop.time()
        self._is_waiting = False
        self._head_since = None

    def end(self) -> None:
        """The handler is done; its answer may still have to be sent."""
        self._request = None

    # Called after each answer; accesses are logged by the application.
    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """The response was handed to the socket."""
        self._is_waiting = True

    def overdue(self, now: float) -> str | None:
        """The reason to close the connection now, or None. Called about every second."""
        unsent = self._unsent()
        if unsent:
            if unsent != self._unsent_bytes:  # progress: once the buffers are full, more is written only after some was read
                self._unsent_bytes, self._progress_at = unsent, now
            return "stalled" if now - self._progress_at > self._stall_timeout_s else None
        self._unsent_bytes = 0
        if self._is_waiting and self._head_since is not None and now - self._head_since > self._head_timeout_s:
            return "head"
        if self._request is not None and not self._request.content.is_eof() and now - self._request_since > self._body_timeout_s:
            return "body"
        return None

    def _unsent(self) -> int:
        """Bytes of responses that the client has not received, here and in the kernel; idle connections have none."""
        assert self._socket is not None
        here = self._socket.get_write_buffer_size()
        if self._is_waiting and not here:
            return 0
        # Without the kernel's share, a slow reader shows no progress for megabytes, and a file sent by the kernel none at all.
        try:
            waiting = fcntl.ioctl(self._socket.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:  # closed, or not supported by the system
            return here
        return here + int.from_bytes(waiting, sys.byteorder)

    def abort(self) -> None:
        """Close the connection at once; unsent data are dropped."""
        if self._socket is not None:
            self._socket.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError) and is_gone(request):
            raise exc  # aiohttp closes the connection, and nothing is logged: a browser has left the page
        if isinstance(exc, HttpProcessingError):
            self._registry.numbers.malformed.inc()
            log.debug("malformed_request", address=self.address, why=type(exc).__name__)  # the message holds bytes of the request
            response: web.StreamResponse = web.Response(status=HTTPStatus.BAD_REQUEST, text="malformed HTTP request\n")
            response.force_close()
        else:
            response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = SERVER
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        if isinstance(kw.get("exc_info"), HttpProcessingError | web.RequestPayloadError):
            return
        super().log_exception(*args, **kw)
