"""Protection of requests with a session cookie against other sites (CSRF).

The origin that the browser reports must be ours. A client that reports none is not a current browser, and must send
something that a form on another site cannot: ``X-Requested-With``, or a JSON body.
"""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

from services.gateway.errors import forbidden

FETCH_SITE = "Sec-Fetch-Site"
REQUESTED_WITH = "X-Requested-With"
_OWN = frozenset({"same-origin", "none"})  # values of Sec-Fetch-Site
_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


def require_own_origin(request: web.BaseRequest) -> None:
    """Raises RequestError (403). Reads pass, except the opening of a web socket, which browsers allow other sites with our cookie."""
    if request.method in _READS and hdrs.UPGRADE not in request.headers:
        return
    if not _is_ours(request):
        raise forbidden("the request comes from another site, or names no origin: programs must send X-Requested-With, or JSON")


def refuse_other_sites(request: web.BaseRequest) -> None:
    """For a GET that writes: refuse what the browser reports as started by another site. Raises RequestError (403)."""
    if request.headers.get(FETCH_SITE, "none") not in _OWN:
        raise forbidden("the request comes from another site")


def _is_ours(request: web.BaseRequest) -> bool:
    site = request.headers.get(FETCH_SITE)
    if site is not None and site not in _OWN:
        return False
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None:
        # The scheme is not compared, because a proxy may terminate TLS.
        return _host_of(origin) == request.host
    return site is not None or bool(request.headers.get(REQUESTED_WITH)) or request.content_type == "application/json"


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
