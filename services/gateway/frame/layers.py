"""Middlewares of every request, outermost first: metrics and log, compression, the caller's own, errors, CORS, origin, deadline."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from aiohttp import hdrs, set_zlib_backend, web
from aiohttp.typedefs import Middleware
from isal import isal_zlib
from prometheus_client import CollectorRegistry

from services.gateway.errors import RequestError, public_text
from services.gateway.frame.answers import failure, unknown_path
from services.gateway.frame.credentials import TOKEN_HEADER
from services.gateway.prometheus import REQUEST_SECONDS, REQUESTS
from shared.broker.outcome import NoOutcome
from shared.errors import Refused, Unavailable
from shared.http.connection import is_gone

log = structlog.get_logger()

# An error answer as people or programs get it.
Show = Callable[[web.Request, web.StreamResponse], web.StreamResponse]
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

RETRY_AFTER_S = "5"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_COMPRESSED_TYPES = frozenset(
    "text/html text/css text/csv text/plain text/javascript application/javascript application/json application/x-ndjson"
    " image/svg+xml".split()
)
_DEADLINE = web.RequestKey("deadline", asyncio.Timeout)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
}

CROSS_ORIGIN_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
CROSS_ORIGIN_HEADERS = frozenset(
    name.lower() for name in ("X-Requested-With", "Content-Type", "Authorization", "Origin", "Accept", "Last-Event-ID", TOKEN_HEADER)
)


class Layers:
    """``inner`` middlewares see every error as a response, as ``show`` made it, and responses before they are compressed."""

    def __init__(self, cors: "Cors", numbers: "GatewayNumbers", request_timeout_s: float, show: Show, *inner: Middleware) -> None:
        self._cors = cors
        self._numbers = numbers
        self._timeout_s = request_timeout_s
        self._show = show
        self._inner = inner

    def install(self, app: web.Application) -> None:
        set_zlib_backend(isal_zlib)  # same format and size, thirty times as fast
        for layer in (self._observe, self._compress, *self._inner, self._answer_errors, self._cross_origin, self._deadline):
            app.middlewares.append(layer)
        app.on_response_prepare.append(self._add_headers)

    @web.middleware
    async def _observe(self, request: web.Request, handler: Next) -> web.StreamResponse:
        began = time.perf_counter()
        structlog.contextvars.bind_contextvars(request=os.urandom(6).hex())
        status = 0  # the client disconnected
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as e:  # a redirect
            status = e.status
            raise
        finally:
            took_s = time.perf_counter() - began
            self._numbers.request(request, status, took_s)
            log.debug("request", method=request.method, path=request.path[:200], status=status, took_ms=round(took_s * 1000, 1))
            structlog.contextvars.unbind_contextvars("request")

    @web.middleware
    async def _compress(self, request: web.Request, handler: Next) -> web.StreamResponse:
        response = await handler(request)
        if not response.prepared:
            compress(request, response)
        return response

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Next) -> web.StreamResponse:
        response = await self._answered(request, handler)
        return response if response.status < HTTPStatus.BAD_REQUEST else self._show(request, response)

    async def _answered(self, request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestError as e:
            return failure(e.status, str(e))
        except NoOutcome as e:
            log.warning("outcome_unknown", sequence=e.sequence)
            return _unavailable(f"{e}; ask again before repeating the request")
        except Unavailable as e:
            log.warning("request_failed", path=request.path[:200], why=str(e))
            return _unavailable(public_text(e))
        except Refused as e:
            return failure(HTTPStatus.BAD_REQUEST, str(e))
        except TimeoutError:
            log.warning("request_timed_out", path=request.path[:200])
            return _unavailable(f"the request took longer than {self._timeout_s:g} s")
        except web.HTTPMethodNotAllowed as e:
            return web.Response(status=e.status, headers={hdrs.ALLOW: ", ".join(sorted(e.allowed_methods))})
        except web.HTTPNotFound:
            return unknown_path()
        except web.HTTPRequestEntityTooLarge:
            return failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request body is too large")
        except web.RequestPayloadError:
            response = failure(HTTPStatus.BAD_REQUEST, "the request body is malformed")
            response.force_close()  # the start of the next request is unknown
            return response
        except web.HTTPException as e:
            if e.status < HTTPStatus.BAD_REQUEST:
                raise
            return failure(HTTPStatus(e.status), e.reason)
        except Exception as e:
            if isinstance(e, ConnectionError) and is_gone(request):
                raise
            log.exception("request_crashed", method=request.method, path=request.path[:200])
            number = structlog.contextvars.get_contextvars().get("request", "")
            return failure(HTTPStatus.INTERNAL_SERVER_ERROR, f"unexpected error, see the log for request {number}")

    @web.middleware
    async def _cross_origin(self, request: web.Request, handler: Next) -> web.StreamResponse:
        if self._cors.is_preflight(request):
            return self._cors.preflight(request)
        if request.method not in _SAFE_METHODS and request.headers.get("Sec-Fetch-Site") == "cross-site":
            return web.Response(status=HTTPStatus.FORBIDDEN, text="cross-site request refused\n")
        return await handler(request)

    @web.middleware
    async def _deadline(self, request: web.Request, handler: Next) -> web.StreamResponse:
        async with asyncio.timeout(self._timeout_s) as deadline:
            request[_DEADLINE] = deadline
            return await handler(request)

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if self._cors.is_preflight(request):
            return
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)  # pages have a stricter content policy
        if request.secure or request.headers.get(hdrs.X_FORWARDED_PROTO) == "https":
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        self._cors.add_to(request, response)


def lift_deadline(request: web.Request) -> None:
    """Remove the deadline of the request. Its handler must then limit every wait itself."""
    request[_DEADLINE].reschedule(None)


def _unavailable(text: str) -> web.Response:
    response = failure(HTTPStatus.SERVICE_UNAVAILABLE, text)
    response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER_S
    return response


def compress(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Enable compression if the client accepts it. Call this before the response is prepared."""
    # After a compressed file aiohttp also "ends" the compression of answers without a body (304, HEAD): bytes that the client takes for
    # the beginning of the next answer. Files have compressed copies instead.
    if isinstance(response, web.FileResponse) or request.method == hdrs.METH_HEAD:
        return
    if response.content_type not in _COMPRESSED_TYPES or response.status == HTTPStatus.NO_CONTENT:
        return
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    accepted = {}
    for part in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower().split(","):
        coding, _, parameter = part.partition(";")
        accepted[coding.strip()] = parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    if accepted.get("gzip"):
        response.enable_compression(web.ContentCoding.gzip)
    elif accepted.get("deflate"):
        response.enable_compression(web.ContentCoding.deflate)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class GatewayNumbers:
    """Request metrics. Labels are route patterns and known methods, never values from the request."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = REQUESTS.counter(registry)
        self._seconds = REQUEST_SECONDS.histogram(registry)

    def request(self, request: web.Request, status: int, took_s: float) -> None:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(took_s)


class Cors:
    """Cross-origin access: pages of allowed origins may use all methods and headers of the API, but send no credentials."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origins)

    def is_preflight(self, request: web.BaseRequest) -> bool:
        return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers

    def preflight(self, request: web.BaseRequest) -> web.Response:
        """Answer a preflight request: always empty and 200. The permission headers are missing if anything requested is not allowed."""
        response = web.Response()
        for name in (hdrs.ORIGIN, hdrs.ACCESS_CONTROL_REQUEST_METHOD, hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
            response.headers.add(hdrs.VARY, name)
        method = request.headers[hdrs.ACCESS_CONTROL_REQUEST_METHOD]
        asked = [name.strip() for name in request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").split(",") if name.strip()]
        allowed = self._allowed_origin(request)
        if allowed and method in CROSS_ORIGIN_METHODS and all(name.lower() in CROSS_ORIGIN_HEADERS for name in asked):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = method
            if asked:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join(asked)
        return response

    def add_to(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        allowed = self._allowed_origin(request)
        if allowed and request.method in CROSS_ORIGIN_METHODS:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed

    def _allowed_origin(self, request: web.BaseRequest) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        if not origin:
            return None
        if self._any:
            return "*"
        return origin if origin in self._origins else None
