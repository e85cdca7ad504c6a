"""The layers around every request, outside to inside: numbers and log, compression, those of the caller, errors, CORS, origin, deadline."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import hdrs, set_zlib_backend, web
from aiohttp.typedefs import Middleware
from isal import isal_zlib

from services.gateway.errors import RequestError, told
from services.gateway.frame.answers import failure, unknown_path
from services.gateway.frame.cors import Cors
from services.gateway.numbers import GatewayNumbers
from shared.broker.outcome import NoOutcome
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

RETRY_AFTER_S = "5"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_COMPRESSED_TYPES = frozenset("text/html text/css text/plain text/javascript application/javascript application/json image/svg+xml".split())
_DEADLINE = web.RequestKey("deadline", asyncio.Timeout)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
}


class Layers:
    """``inner`` middlewares see every error as a response, and responses before they are compressed."""

    def __init__(self, cors: Cors, numbers: GatewayNumbers, request_timeout_s: float, *inner: Middleware) -> None:
        self._cors = cors
        self._numbers = numbers
        self._timeout_s = request_timeout_s
        self._inner = inner

    def install(self, app: web.Application) -> None:
        set_zlib_backend(isal_zlib)  # the same format, thirty times as fast at the same size
        for layer in (self._observe, self._compress, *self._inner, self._answer_errors, self._cross_origin, self._deadline):
            app.middlewares.append(layer)
        app.on_response_prepare.append(self._add_headers)

    @web.middleware
    async def _observe(self, request: web.Request, handler: Next) -> web.StreamResponse:
        began = time.perf_counter()
        structlog.contextvars.bind_contextvars(request=uuid.uuid4().hex[:12])
        status = 0  # the client went away
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
        try:
            return await handler(request)
        except RequestError as e:
            return failure(e.status, str(e))
        except NoOutcome as e:
            log.warning("outcome_not_known", sequence=e.sequence)
            return _unavailable(f"{e}; ask again before repeating the request")
        except Unavailable as e:
            log.warning("request_failed", path=request.path[:200], why=str(e))
            return _unavailable(told(e))
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
        except web.HTTPException as e:
            if e.status < HTTPStatus.BAD_REQUEST:
                raise
            return failure(HTTPStatus(e.status), e.reason)
        except Exception:
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
        response.headers[hdrs.SERVER] = "jobtide"
        if self._cors.is_preflight(request):
            return
        response.headers.update(SECURITY_HEADERS)
        if request.secure or request.headers.get(hdrs.X_FORWARDED_PROTO) == "https":
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        self._cors.add_to(request, response)


def lift_deadline(request: web.Request) -> None:
    """From here on the request lasts as long as it likes; its handler sees to every single wait."""
    request[_DEADLINE].reschedule(None)


def _unavailable(text: str) -> web.Response:
    response = failure(HTTPStatus.SERVICE_UNAVAILABLE, text)
    response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER_S
    return response


def compress(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Let a response be compressed as the client accepts it; before it is prepared."""
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
