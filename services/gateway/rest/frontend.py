"""For signed-in people: a token for oneself, personal settings, and for admins the log of the service."""

from http import HTTPStatus
from typing import Annotated

import orjson
from aiohttp import hdrs, web
from pydantic import AfterValidator, Field

from services.gateway.errors import RequestError, forbidden, not_found
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.query import Integer, Positive, Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.people.users.rules import RuleBroken
from services.gateway.people.users.store import of_source
from services.gateway.rest.models import LogEntry
from services.gateway.rest.systemlog import MAX_LINES, JournalQuery, LogUnreadable, journal
from services.gateway.site import Call

routes = Routes[Call]("frontend", guard=Guard.FRONTEND)

MAX_VALUE_CHARACTERS = 65_536
_SAFE_WORDS = r"^[A-Za-z0-9 :.\-]*$"  # as journalctl's arguments: no option, no pattern that takes for ever


class TokenQuery(Query):
    username: Annotated[str, Field(max_length=255)] = Field("", description="Whose token; others than oneself for admins only.")


@routes("GET", "/frontend/jwt/", query=TokenQuery, answers={200: str}, failures=(400, 404, 500, 503))
async def issue_token(call: Call) -> web.StreamResponse:
    """A token for the API, signed with the roles of the database."""
    name = read_query(TokenQuery, call.request).username
    if name != call.user.name and not call.user.is_admin:
        raise forbidden("only an admin may make tokens for others")
    found = await call.site.users.find(name)
    account = found if call.user.is_admin else of_source(call.user.source, found)
    if account is None:
        raise not_found(f"there is no user {name!r} in the database")
    return web.Response(text=call.site.auth.tokens.issue(account), headers={hdrs.CACHE_CONTROL: "no-store"})


def _json(text: str) -> str:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as e:
        raise ValueError("not JSON") from e
    return text


class SettingForm(Query):
    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    value: Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS), AfterValidator(_json)] = Field(description="JSON text.")


@routes("POST", "/frontend/configuration/", form=SettingForm, answers={200: str}, failures=(400, 413, 422, 503))
async def set_setting(call: Call) -> web.StreamResponse:
    """Store one personal setting."""
    form = await read_form(SettingForm, call.request)
    try:
        await call.site.users.set_setting(call.user.name, form.key, form.value)
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    return web.Response(text="success")


class LogQuery(Query):
    since: Annotated[str, Field(pattern=_SAFE_WORDS, max_length=64)] = Field("1 hour ago", description="A time as journalctl reads it.")
    lines: Positive = Field(200, description=f"The last ones; at most {MAX_LINES} are given.")
    level: Annotated[Integer, Field(ge=0, le=7)] | None = Field(None, description="Largest syslog priority.")
    search: Annotated[str, Field(pattern=_SAFE_WORDS, max_length=256)] = Field("", description="Words that a message must contain.")


@routes("GET", "/frontend/logs/", query=LogQuery, answers={200: list[LogEntry]}, failures=(400, 500, 503))
async def service_log(call: Call) -> web.StreamResponse:
    """The journal of the service, for admins."""
    if not call.user.is_admin:
        raise forbidden("the role admin is needed")
    query = read_query(LogQuery, call.request)
    wanted = JournalQuery(query.since or "1 hour ago", min(query.lines, MAX_LINES), query.level, query.search)
    try:
        return answer(await journal(call.site.settings.systemd_unit, wanted))
    except LogUnreadable as e:
        raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, str(e)) from e
