"""Enforces the access rules of routes. Missing or bad credentials are 401, a missing role or a wrong address 403."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from services.gateway.errors import forbidden, unauthorized
from services.gateway.frame.credentials import SESSION_COOKIE, Guard
from services.gateway.people.addresses import AllowList
from services.gateway.people.auth.cookie import SessionCookie
from services.gateway.people.auth.origin import require_own_origin
from services.gateway.people.auth.sessions import Sessions
from services.gateway.people.auth.tokens import Tokens, token_of
from services.gateway.people.identity import NOBODY, User
from shared.errors import Unavailable

_INVALID_SESSION = web.RequestKey("invalid_session", bool)
WALL_CLUSTER = web.RequestKey("wall_cluster", str)  # set on requests that ``Guard.WALL`` admits


@dataclass(frozen=True, slots=True)
class Guards:
    tokens: Tokens
    sessions: Sessions
    cookie: SessionCookie
    allow_list: AllowList

    async def admit(self, guard: Guard, request: web.Request) -> User:
        """The user of a request that satisfies the guard. Raises RequestError (401, 403), Unavailable."""
        if guard is Guard.NONE:
            return NOBODY
        if guard is Guard.WALL:
            request[WALL_CLUSTER] = await self.tokens.wall(_given(token_of(request.headers)))
            return NOBODY
        user = await self._identify(guard, request)
        if guard is Guard.API:
            if not user.may_use_api:
                raise forbidden("the role api is needed, alone or together with admin")
            if not self.allow_list.allows(request):
                raise forbidden("this address may not use the API")
        if guard is Guard.USER_API and not user.may_use_userapi:
            raise forbidden("the role api is needed, alone or together with user, manager, support or admin")
        if guard is Guard.CONFIG and not user.is_admin:
            raise forbidden("the role admin is needed")
        if guard is Guard.STAFF and not user.is_staff:
            raise forbidden("the role admin or support is needed")
        return user

    async def signed_in(self, request: web.Request) -> User | None:
        """The user of the session cookie, for pages that everybody may see; None without a session or while the database is unavailable."""
        cookie = request.cookies.get(SESSION_COOKIE)
        if not cookie:
            return None
        with suppress(Unavailable):
            session = await self.sessions.read(cookie)
            return None if session is None else session.user
        return None

    async def _identify(self, guard: Guard, request: web.Request) -> User:
        if guard.takes_token:
            token = token_of(request.headers)
            if token:
                return await self.tokens.user(token)
            if not guard.takes_session:
                _given(token)
        cookie = request.cookies.get(SESSION_COOKIE)
        session = await self.sessions.read(cookie) if cookie else None
        if session is None:
            if cookie:
                request[_INVALID_SESSION] = True
            raise unauthorized("not signed in")
        require_own_origin(request)
        return session.user

    @web.middleware
    async def delete_invalid_cookie(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let the browser delete a cookie without a valid session, which it would otherwise send until it expires."""
        response = await handler(request)
        if request.get(_INVALID_SESSION) and not response.prepared:
            self.cookie.take_away(request, response)
        return response


def _given(token: str) -> str:
    """Raises RequestError (401)."""
    if not token:
        raise unauthorized("no token was given")
    return token
