"""Error pages for people: browsers that ask for a page get one, programs get JSON."""

from collections.abc import Callable, Mapping
from html import escape
from http import HTTPStatus

import orjson
from aiohttp import hdrs, web

from services.gateway.errors import phrase
from services.gateway.frame.answers import JSON
from services.gateway.frame.pages.look import Look, document

# The rooms of programs, whose errors are JSON for everybody.
_PROGRAMS = ("/api/", "/userapi/", "/query", "/frontend/", "/assets/")
_WALL = "/monitoring/dashboard/"
WALL_RETRY_S = "15"  # a screen on the wall has nobody to press a button

_TEXTS: Mapping[int, tuple[str, str]] = {
    HTTPStatus.FORBIDDEN: (
        "You may not open this",
        "Your roles do not include it, or the request came from another site. Ask the operators of the site, or sign in as somebody else.",
    ),
    HTTPStatus.NOT_FOUND: ("There is no such page", "Check the address, or begin with the overview."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("This address is not a page", "It only takes data. Begin with the overview."),
    HTTPStatus.TOO_MANY_REQUESTS: ("Too many requests", "Wait a little, then try again."),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Something went wrong here",
        "Try again. If it fails again, tell the operators of the site the number of the request and what you did.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The site cannot answer at the moment",
        "Jobs are recorded all the same. Try again in a minute. Operators find the cause under /readyz and in the log.",
    ),
}
_OTHER = "Go back and try again, or begin with the overview."


class ErrorPages:
    """Turns JSON errors into pages. ``look`` is asked each time, since a new build has another stylesheet."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look

    def shown(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """The error as a page, or as it is for programs."""
        if response.prepared or not isinstance(response, web.Response) or not _is_for_people(request):
            return response
        if response.body and response.content_type != JSON:
            return response
        again = str(request.rel_url) if request.method == hdrs.METH_GET else ""
        page = error_page(self._look(), HTTPStatus(response.status), _reason(response), again)
        for name, value in response.headers.items():
            if name not in (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH):
                page.headers.add(name, value)
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE and request.path.startswith(_WALL):
            page.headers["Refresh"] = WALL_RETRY_S
        return page


def error_page(look: Look, status: HTTPStatus, why: str, again: str) -> web.Response:
    """``why`` is the reason of the answer; ``again`` is the path that can be tried again, empty for none."""
    title, advice = _TEXTS.get(status, (phrase(status), _OTHER))
    base = escape(look.base)
    can_pass = status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.TOO_MANY_REQUESTS)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(advice)}</p>",
        f"<p><small>{status.value}: {escape(why)}</small></p>" if why else f"<p><small>{status.value}</small></p>",
        f'<p><a class="button" href="{base}{escape(again.lstrip("/"))}">Try again</a></p>' if again and can_pass else "",
        f'<p><a href="{base}">To the overview</a> · <a href="{base}login">Sign in</a></p>',
    ]
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(text=document(look, title.lower(), parts), content_type="text/html", status=status, headers=headers)


def _is_for_people(request: web.Request) -> bool:
    """A browser opens the address, rather than a script or a program."""
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    return mode == "navigate" and "text/html" in request.headers.get(hdrs.ACCEPT, "") and not request.path.startswith(_PROGRAMS)


def _reason(response: web.Response) -> str:
    try:
        return str(orjson.loads(response.body or b"{}").get("error", ""))  # type: ignore[arg-type]
    except (orjson.JSONDecodeError, AttributeError):
        return ""
