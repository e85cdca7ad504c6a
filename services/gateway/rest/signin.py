"""Sign-in and sign-out. Browsers get redirects and pages, clients that accept JSON get JSON."""

import math
from http import HTTPStatus
from typing import Annotated

import structlog
from aiohttp import hdrs, web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError
from services.gateway.frame.answers import JSON, answer, failure
from services.gateway.frame.credentials import SESSION_COOKIE, Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.pages.signin import sign_in_page
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.people.auth.login import Attempt
from services.gateway.people.auth.redirects import HOME, local_target
from services.gateway.people.auth.tokens import bearer
from services.gateway.people.identity import User
from services.gateway.rest.models import SignedIn
from shared.errors import Unavailable

log = structlog.get_logger()
routes = Routes[Call]("sign-in", guard=Guard.NONE)

Text = Annotated[str, Field(max_length=8192)]


class LoginForm(Query):
    username: Annotated[str, Field(max_length=255)] = ""
    password: Annotated[str, Field(max_length=1024)] = ""
    redirect: Text = Field("", description="Path of this server to go to after success.")


class TokenForm(LoginForm):
    login_token: Text = Field("", alias="login-token", description="A token signed with the key shared with a portal (HS256 or HS512).")


class RedirectQuery(Query):
    redirect: Text = ""


@routes("GET", "/login", query=RedirectQuery, answers={200: str}, failures=(400,))
async def login_page(call: Call) -> web.StreamResponse:
    """The sign-in page."""
    return sign_in_form(call, redirect=read_query(RedirectQuery, call.request).redirect)


@routes("POST", "/login", form=TokenForm, answers={200: SignedIn, 302: None}, failures=(400, 401, 413, 422, 429, 503))
async def login(call: Call) -> web.StreamResponse:
    """Sign in; answers with a session cookie."""
    return await _login(call)


@routes("GET POST", "/jwt-login", form=TokenForm, answers={200: SignedIn, 302: None}, failures=(400, 401, 413, 422, 429, 503))
async def jwt_login(call: Call) -> web.StreamResponse:
    """Sign in by a token of a portal, in the header `Authorization`, in `login-token` or in a cookie."""
    return await _login(call)


async def _login(call: Call) -> web.StreamResponse:
    form = await read_form(TokenForm, call.request)
    try:
        user = await _signed_in(call, form)
        value = await call.gateway.auth.sessions.begin(user)
    except _TooMany as e:
        response = _refusal(call, HTTPStatus.TOO_MANY_REQUESTS, str(e), form)
        response.headers[hdrs.RETRY_AFTER] = str(math.ceil(e.wait_s))
        return response
    except RequestError as e:
        if e.status != HTTPStatus.UNAUTHORIZED:
            raise
        return _refusal(call, e.status, str(e), form)
    log.info("signed_in", user=user.name, source=user.source.name.lower())
    return await signed_in_answer(call, user, value, form.redirect)


async def signed_in_answer(call: Call, user: User, cookie: str, redirect: str) -> web.Response:
    """An answer with the session cookie: JSON, or a redirect to a path of this server. Raises Unavailable.

    The session of somebody else in the same browser ends, so that none of its pages or streams go on.
    """
    sessions, before = call.gateway.auth.sessions, call.request.cookies.get(SESSION_COOKIE)
    replaced = await sessions.read(before) if before else None
    if replaced is not None and (replaced.user.name, replaced.user.source) != (user.name, user.source):
        await sessions.end(replaced)
    if wants_json(call.request):
        response = answer({"user": {"username": user.name, "name": user.real_name, "roles": sorted(user.roles)}})
    else:
        response = web.Response(status=HTTPStatus.FOUND, headers={hdrs.LOCATION: target_of(call, redirect)})
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    call.gateway.auth.cookie.put(call.request, response, cookie, call.gateway.auth.sessions.max_age_s)
    token_cookie = call.gateway.auth.settings.jwt_cookie_name
    if token_cookie and token_cookie in call.request.cookies:
        response.del_cookie(token_cookie, path="/")  # used up
    return response


class _TooMany(RequestError):
    def __init__(self, wait_s: float) -> None:
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, f"too many attempts to sign in; try again in {math.ceil(wait_s / 60)} minutes")
        self.wait_s = wait_s


async def _signed_in(call: Call, form: TokenForm) -> User:
    auth, request, origin = call.gateway.auth, call.request, call.origin
    wait_s = await auth.attempts.take(form.username, origin)
    if wait_s:
        log.warning("too_many_sign_ins", user=form.username[:100], address=origin.address)
        raise _TooMany(wait_s)
    attempt = Attempt(
        origin,
        name=form.username,
        password=form.password,
        token=bearer(request.headers) or form.login_token,
        cookies=request.cookies,
        account=await call.gateway.users.find(form.username) if form.username else None,
    )
    try:
        user = await auth.login.login(attempt)
    except Unavailable:
        await auth.attempts.give_back(form.username, origin)  # no password was checked
        raise
    await auth.attempts.succeed(form.username, origin)
    return user


def _refusal(call: Call, status: HTTPStatus, text: str, form: LoginForm) -> web.Response:
    log.info("sign_in_refused", user=form.username[:100], address=call.origin.address, why=text)
    if wants_json(call.request):
        return failure(status, text)
    return sign_in_form(call, text, form.redirect, status, name=form.username)


@routes("POST", "/logout", answers={200: str}, failures=(503,))
async def logout(call: Call) -> web.StreamResponse:
    """Sign out: the session ends, also for copies of its cookie."""
    cookie = call.request.cookies.get(SESSION_COOKIE)
    session = await call.gateway.auth.sessions.read(cookie) if cookie else None
    if session is not None:
        await call.gateway.auth.sessions.end(session)
    response = answer({"msg": "signed out"}) if wants_json(call.request) else sign_in_form(call, "You are signed out.")
    call.gateway.auth.cookie.take_away(call.request, response)
    return response


def target_of(call: Call, redirect: str) -> str:
    """Where a browser goes after sign-in: a path of this server, by default the home page below the base path."""
    target = local_target(redirect)
    return call.gateway.settings.base_path if target == HOME else target


def sign_in_form(call: Call, notice: str = "", redirect: str = "", status: HTTPStatus = HTTPStatus.OK, *, name: str = "") -> web.Response:
    """The sign-in page in the look of the site; ``name`` is what was typed before."""
    gateway = call.gateway
    return sign_in_page(gateway.look, notice, target_of(call, redirect), status, name=name, has_provider=gateway.auth.oidc is not None)


def wants_json(request: web.BaseRequest) -> bool:
    return JSON in request.headers.get(hdrs.ACCEPT, "")
