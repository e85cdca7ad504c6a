"""Which pages of other origins may use the API: without credentials, with every method and header that it has."""

from collections.abc import Sequence

from aiohttp import hdrs, web

from services.gateway.frame.credentials import TOKEN_HEADER

METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
HEADERS = frozenset(
    name.lower() for name in ("X-Requested-With", "Content-Type", "Authorization", "Origin", "Accept", "Last-Event-ID", TOKEN_HEADER)
)


class Cors:
    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origins)

    def is_preflight(self, request: web.BaseRequest) -> bool:
        return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers

    def preflight(self, request: web.BaseRequest) -> web.Response:
        """Empty, 200 on any path; without the permission headers when something asked for is not allowed."""
        response = web.Response()
        for name in (hdrs.ORIGIN, hdrs.ACCESS_CONTROL_REQUEST_METHOD, hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
            response.headers.add(hdrs.VARY, name)
        method = request.headers[hdrs.ACCESS_CONTROL_REQUEST_METHOD]
        asked = [name.strip() for name in request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").split(",") if name.strip()]
        allowed = self._allowed_origin(request)
        if allowed and method in METHODS and all(name.lower() in HEADERS for name in asked):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = method
            if asked:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join(asked)
        return response

    def add_to(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        allowed = self._allowed_origin(request)
        if allowed and request.method in METHODS:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed

    def _allowed_origin(self, request: web.BaseRequest) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        if not origin:
            return None
        if self._any:
            return "*"
        return origin if origin in self._origins else None
