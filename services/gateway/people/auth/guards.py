"""Who may use which route: the one place. Missing or bad credentials are 401, a missing role or a wrong address 403."""

from enum import StrEnum
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway.errors import forbidden, unauthorized
from services.gateway.people.auth.origin import require_own_origin
from services.gateway.people.auth.sessions import COOKIE
from services.gateway.people.auth.tokens import token_of
from services.gateway.people.identity import NOBODY, User

if TYPE_CHECKING:
    from services.gateway.site import Site

SPOILED_SESSION = web.RequestKey("spoiled_session", bool)


class Guard(StrEnum):
    API = "api"  # token of a program, or of an admin with the role api, from an allowed address
    USER_API = "user-api"  # token of a program, or of a person with the role api
    CONFIG = "config"  # session of an admin
    FRONTEND = "frontend"  # any session
    PAGE = "page"  # any token, else any session
    NONE = "none"

    @property
    def takes_token(self) -> bool:
        return self in (Guard.API, Guard.USER_API, Guard.PAGE)

    @property
    def takes_session(self) -> bool:
        return self in (Guard.CONFIG, Guard.FRONTEND, Guard.PAGE)


async def admit(guard: Guard, request: web.Request, site: "Site") -> User:
    """Raises RequestError (401, 403), Unavailable."""
    if guard is Guard.NONE:
        return NOBODY
    user = await _identify(guard, request, site)
    if guard is Guard.API:
        if not user.may_use_api:
            raise forbidden("the role api is needed, alone or together with admin")
        if not site.allow_list.allows(request):
            raise forbidden("this address may not use the API")
    if guard is Guard.USER_API and not user.may_use_userapi:
        raise forbidden("the role api is needed, alone or together with user, manager, support or admin")
    if guard is Guard.CONFIG and not user.is_admin:
        raise forbidden("the role admin is needed")
    return user


async def _identify(guard: Guard, request: web.Request, site: "Site") -> User:
    if guard.takes_token:
        token = token_of(request.headers)
        if token:
            return await site.auth.tokens.user(token)
        if not guard.takes_session:
            raise unauthorized("no token was given")
    cookie = request.cookies.get(COOKIE)
    session = await site.auth.sessions.read(cookie) if cookie else None
    if session is None:
        if cookie:
            request[SPOILED_SESSION] = True  # the answer takes it away
        raise unauthorized("not signed in")
    require_own_origin(request)
    return session.user
