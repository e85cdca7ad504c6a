"""Local passwords: changed by their owners, who give the present one, and set by admins."""

import math
from http import HTTPStatus
from typing import Annotated

import structlog
from aiohttp import hdrs, web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, bad_request
from services.gateway.frame.answers import message
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.query import Query
from services.gateway.frame.routes import Routes
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.rules import RuleBroken, with_password
from services.gateway.people.users.store import UserUnknown, of_source
from services.gateway.rest.models import Message

log = structlog.get_logger()
routes = Routes[Call]("passwords", guard=Guard.FRONTEND)

Password = Annotated[str, Field(max_length=1024)]


class OwnPasswordForm(Query):
    current: Password = Field(description="The present password.")
    password: Password = Field(description="The new one.")


class NewPasswordForm(Query):
    password: Password


@routes("POST", "/frontend/password/", form=OwnPasswordForm, answers={200: Message}, failures=(400, 413, 422, 429, 503))
async def change_own_password(call: Call) -> web.StreamResponse:
    """Change one's own local password. Other sessions and personal tokens of the user end; this session goes on with a new cookie."""
    form = await read_form(OwnPasswordForm, call.request)
    auth, name = call.gateway.auth, call.user.name
    account = of_source(AuthSource.LOCAL, await call.gateway.users.find(name))
    if account is None or call.user.source is not AuthSource.LOCAL:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} does not sign in by a local password")
    wait_s = await auth.attempts.take(name, call.origin)
    if wait_s:
        raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, f"too many attempts; try again in {math.ceil(wait_s / 60)} minutes")
    if not await auth.passwords.fits(form.current, account.password, call.origin):
        raise bad_request("current: this is not the present password")
    await auth.attempts.give_back(name, call.origin)
    await _set(call, name, form.password)
    return await _with_new_session(call, "the password is changed")


@routes(
    "POST",
    "/config/user/{name}/password/",
    form=NewPasswordForm,
    answers={200: Message},
    failures=(400, 404, 413, 422, 503),
    guard=Guard.CONFIG,
)
async def set_password(call: Call) -> web.StreamResponse:
    """Set the local password of a user. Sessions and personal tokens of the user end."""
    name = call.request.match_info["name"]
    await _set(call, name, (await read_form(NewPasswordForm, call.request)).password)
    text = f"the password of {name} is set"
    return await _with_new_session(call, text) if name == call.user.name else message(text)


async def _set(call: Call, name: str, password: str) -> None:
    """Raises RequestError (404, 422), Unavailable."""
    try:
        hashed = await call.gateway.auth.passwords.hash(password, call.origin)
        await call.gateway.users.change(name, with_password(hashed))
    except UserUnknown as e:
        raise RequestError(HTTPStatus.NOT_FOUND, str(e)) from e
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    log.info("password_changed", user=name, by=call.user.name)


async def _with_new_session(call: Call, text: str) -> web.Response:
    """The cookie of the request ended with the old password."""
    auth, response = call.gateway.auth, message(text)
    auth.cookie.put(call.request, response, await auth.sessions.begin(call.user), auth.sessions.max_age_s)
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response
