"""Sign-in by an OpenID Connect provider; without one these paths do not exist."""

import re

import structlog
from aiohttp import hdrs, web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, bad_request
from services.gateway.frame.answers import unknown_path
from services.gateway.frame.credentials import Guard
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.people.auth.oidc.signin import COOKIE, OidcSignIn
from services.gateway.people.auth.redirects import local_target
from services.gateway.rest.models import SignedIn
from services.gateway.rest.signin import RedirectQuery, Text, sign_in_form, signed_in_answer, wants_json

log = structlog.get_logger()
routes = Routes[Call]("sign-in", guard=Guard.NONE)

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


class CallbackQuery(Query):
    code: Text = ""
    state: Text = ""
    error: Text = Field("", description="Error code of the provider.")
    iss: Text = Field("", description="Issuer, if the provider sends it.")


@routes("GET", "/oidc-login", query=RedirectQuery, answers={302: None}, failures=(400, 404, 502, 503))
async def begin(call: Call) -> web.StreamResponse:
    """Redirect to the sign-in provider of the site."""
    oidc = call.gateway.auth.oidc
    if oidc is None:
        return unknown_path()
    target = local_target(read_query(RedirectQuery, call.request).redirect)
    begun = await oidc.begin(_base_url(call.request), target, call.origin)
    response = web.Response(status=302, headers={hdrs.LOCATION: begun.url, hdrs.CACHE_CONTROL: "no-store"})
    is_secure = call.gateway.auth.cookie.is_secure(call.request)
    response.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=int(oidc.settings.sign_in_max_age_s),
        path=oidc.cookie_path,
        httponly=True,
        samesite="Lax",
        secure=is_secure,
    )
    return response


@routes("GET", "/oidc-callback", query=CallbackQuery, answers={200: SignedIn, 302: None}, failures=(400, 403, 404, 422, 502, 503))
async def finish(call: Call) -> web.StreamResponse:
    """Finish a sign-in with the code of the provider; answers with a session cookie."""
    oidc = call.gateway.auth.oidc
    if oidc is None:
        return unknown_path()
    try:
        response = await _signed_in(call, oidc)
    except RequestError as e:
        log.info("oidc_sign_in_refused", why=str(e))
        if wants_json(call.request):
            raise
        response = sign_in_form(call, str(e), status=e.status)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
    # The code is used up, so the sign-in cookie is deleted on success and on failure.
    response.del_cookie(COOKIE, path=oidc.cookie_path)
    return response


async def _signed_in(call: Call, oidc: OidcSignIn) -> web.Response:
    query = read_query(CallbackQuery, call.request).model_dump(exclude_unset=True)
    user, target = await oidc.finish(call.request.cookies.get(COOKIE, ""), query, call.origin)
    value = await call.gateway.auth.sessions.begin(user)
    log.info("signed_in", user=user.name, source=user.source.name.lower())
    return await signed_in_answer(call, user, value, target)


def _base_url(request: web.Request) -> str:
    """The browser's URL of this server. The provider only redirects to registered URLs."""
    if _HOST.fullmatch(request.host) is None:
        raise bad_request("Host: not a host name")
    is_secure = request.secure or request.headers.get(hdrs.X_FORWARDED_PROTO) == "https"
    return f"{'https' if is_secure else 'http'}://{request.host}"
