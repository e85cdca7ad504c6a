"""The session and personal settings of signed-in users, and the log of the service for admins."""

import hashlib
from http import HTTPStatus
from typing import Annotated

from aiohttp import ETag, hdrs, web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, bad_request, forbidden
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.query import Integer, Positive, Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.people.users.rules import MAX_SETTING_KEY, MAX_SETTING_VALUE, BadField, RuleBroken
from services.gateway.rest.models import LogEntry
from services.gateway.rest.systemlog import MAX_LINES, JournalQuery, LogUnreadable, journal
from services.gateway.web.session import SessionObject, session_object

routes = Routes[Call]("frontend", guard=Guard.FRONTEND)

_SAFE_WORDS = r"^[A-Za-z0-9 :.\-]*$"  # arguments of journalctl: neither options nor expensive patterns


@routes("GET", "/frontend/session/", answers={200: SessionObject, 304: None}, failures=(503,))
async def session(call: Call) -> web.StreamResponse:
    """The signed-in user with roles, permissions and settings; the notice, the version, and the clusters of the site."""
    response = answer(await session_object(call.gateway, call.user))
    assert isinstance(response.body, bytes)
    tag = hashlib.sha256(response.body).hexdigest()[:32]
    if any(known.value in (tag, "*") for known in call.request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED)
    response.headers[hdrs.CACHE_CONTROL] = "private, no-cache"
    response.etag = ETag(tag)
    return response


class SettingForm(Query):
    key: Annotated[str, Field(min_length=1, max_length=MAX_SETTING_KEY)]
    value: Annotated[str, Field(max_length=MAX_SETTING_VALUE)] = Field(description="JSON text.")


@routes("POST", "/frontend/configuration/", form=SettingForm, answers={200: str}, failures=(400, 413, 422, 503))
async def set_setting(call: Call) -> web.StreamResponse:
    """Store one personal setting."""
    form = await read_form(SettingForm, call.request)
    try:
        await call.gateway.users.set_setting(call.user.name, form.key, form.value)
    except BadField as e:
        raise bad_request(str(e)) from e
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    return web.Response(text="success")


class LogQuery(Query):
    since: Annotated[str, Field(pattern=_SAFE_WORDS, max_length=64)] = Field("1 hour ago", description="Time in the format of journalctl.")
    lines: Positive = Field(200, description=f"Number of newest entries, at most {MAX_LINES}.")
    level: Annotated[Integer, Field(ge=0, le=7)] | None = Field(None, description="Largest syslog priority.")
    search: Annotated[str, Field(pattern=_SAFE_WORDS, max_length=256)] = Field("", description="Text that a message must contain.")


@routes("GET", "/frontend/logs/", query=LogQuery, answers={200: list[LogEntry]}, failures=(400, 500, 503))
async def service_log(call: Call) -> web.StreamResponse:
    """The journal of the service, for admins."""
    if not call.user.is_admin:
        raise forbidden("the role admin is needed")
    query = read_query(LogQuery, call.request)
    wanted = JournalQuery(query.since or "1 hour ago", min(query.lines, MAX_LINES), query.level, query.search)
    try:
        return answer(await journal(call.gateway.settings.systemd_unit, wanted))
    except LogUnreadable as e:
        raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, str(e)) from e
