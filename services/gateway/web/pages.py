"""The URLs of the web interface. All of them are one page; the browser chooses the view by the path (``web/src/routes.ts``)."""

import re
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import hdrs, web

from services.gateway.call import GATEWAY
from services.gateway.errors import RequestError
from services.gateway.frame.answers import encode
from services.gateway.frame.credentials import Guard
from services.gateway.frame.pages.built import Built
from services.gateway.frame.pages.home import home_page
from services.gateway.live.resume import resume_text
from services.gateway.people.identity import User
from services.gateway.web.search import place_of
from services.gateway.web.session import object_without_session, session_object
from shared.database.progress import progress_of

_JOB_PAGE = re.compile(r"/monitoring/job/([0-9]{1,15})/?")
WALL_PATH = "/wall/"  # without a session: the token is in the fragment, which only the page reads
PATHS = ("/", "/monitoring/{page:.*}", "/config", "/config/")
SEARCH_PATHS = ("/search", "/search/")


def add_to(app: web.Application, built: Built | None) -> None:
    """Without built pages only the home page exists, which links the descriptions of the API."""

    async def home(request: web.Request) -> web.StreamResponse:
        gateway = request.app[GATEWAY]
        user = await gateway.auth.guards.signed_in(request)
        return home_page(user.name if user is not None else None, has_playground=gateway.has_playground, base=gateway.settings.base_path)

    if built is None:
        app.router.add_get("/", home)
        return

    async def page(request: web.Request) -> web.StreamResponse:
        gateway = request.app[GATEWAY]
        user = await _viewer(request)
        if (found := _JOB_PAGE.fullmatch(request.path)) is not None:
            key, current = int(found[1]), await gateway.jobs.current_id(int(found[1]))
            if current != key:  # a link into the former site
                location = f"{gateway.settings.base_path}monitoring/job/{current}"
                raise web.HTTPFound(f"{location}?{request.query_string}" if request.query_string else location)
        cursor = resume_text(await progress_of(gateway.engine))  # before what the page asks for, so that it is never ahead of it
        return built.page(encode(await session_object(gateway, user) | {"cursor": cursor}))

    async def search(request: web.Request) -> web.StreamResponse:
        gateway = request.app[GATEWAY]
        place = await place_of(gateway, await _viewer(request), request.query.get("searchId", ""))
        raise _found(gateway.settings.base_path + place)

    async def wall(request: web.Request) -> web.StreamResponse:
        return built.page(encode(object_without_session(request.app[GATEWAY].settings)))

    for path in PATHS:
        app.router.add_get(path, page)
    for path in SEARCH_PATHS:
        app.router.add_get(path, search)
    for path in (WALL_PATH, WALL_PATH.rstrip("/")):
        app.router.add_get(path, wall)
    built.add_to(app)


async def _viewer(request: web.Request) -> User:
    """The user of the session. Raises HTTPFound, which leads to the sign-in and back here, without one; RequestError (403), Unavailable."""
    gateway = request.app[GATEWAY]
    try:
        return await gateway.auth.guards.admit(Guard.FRONTEND, request)
    except RequestError as e:
        if e.status != HTTPStatus.UNAUTHORIZED:
            raise
        base = gateway.settings.base_path
        target = quote(base + request.raw_path.removeprefix("/"), safe="/")
        raise _found(f"{base}login?redirect={target}") from e


def _found(location: str) -> web.HTTPFound:
    """The target depends on the session and changes with the jobs, so browsers must not cache the redirect."""
    found = web.HTTPFound(location, headers={hdrs.CACHE_CONTROL: "no-store"})
    found.headers[hdrs.LOCATION] = location  # without the escapes that aiohttp takes away
    return found
