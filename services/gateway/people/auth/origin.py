"""Whether a request that a cookie speaks for was made by our own page: the protection of writes against other sites.

One rule: what the browser says about the origin must be ours. Who says nothing is no browser of today, and must send
what no form of another page can: ``X-Requested-With``, or a body of JSON.
"""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

from services.gateway.errors import forbidden

FETCH_SITE = "Sec-Fetch-Site"
REQUESTED_WITH = "X-Requested-With"
_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


def require_own_origin(request: web.BaseRequest) -> None:
    """Raises RequestError (403). Reads pass, but for the opening of a web socket, which other pages may do with our cookie."""
    if request.method in _READS and hdrs.UPGRADE not in request.headers:
        return
    if not _is_ours(request):
        raise forbidden("the request comes from another site, or does not say from where: programs send X-Requested-With, or JSON")


def _is_ours(request: web.BaseRequest) -> bool:
    site = request.headers.get(FETCH_SITE)
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None:
        # The scheme is not compared: a proxy may have ended TLS in front of us.
        return _host_of(origin) == request.host
    return site is not None or bool(request.headers.get(REQUESTED_WITH)) or request.content_type == "application/json"


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
