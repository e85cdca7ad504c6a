"""Site-wide configuration by admins. Only the notice can be set; there are no taggers."""

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, bad_request
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.query import Query
from services.gateway.frame.routes import Routes
from services.gateway.rest.models import TaggerObject
from services.gateway.web.session import NOTICE

routes = Routes[Call]("configuration", guard=Guard.CONFIG)

MAX_CHARACTERS = 10_000


class NoticeForm(Query):
    content: str = Field("", alias="new-content", description=f"At most {MAX_CHARACTERS} characters; empty removes the notice.")


@routes("POST", "/config/notice/", form=NoticeForm, answers={200: str}, failures=(400, 413, 503))
async def set_notice(call: Call) -> web.StreamResponse:
    """Set the notice shown on all pages."""
    content = (await read_form(NoticeForm, call.request)).content
    if len(content) > MAX_CHARACTERS:
        raise bad_request(f"new-content: more than {MAX_CHARACTERS} characters")
    if "\0" in content:
        raise bad_request("new-content: contains a null character")
    await call.gateway.users.set_site_text(NOTICE, content)
    return web.Response(text="Update Notice Content Success" if content else "Empty Notice Content Success")


@routes("GET", "/config/taggers/", answers={200: list[TaggerObject]})
async def list_taggers(_: Call) -> web.StreamResponse:
    """List taggers; there are none."""
    return answer([])


class TaggerForm(Query):
    name: Annotated[str, Field(max_length=255)] = ""


@routes("POST", "/config/taggers/run/", form=TaggerForm, answers={}, failures=(400, 409, 413))
async def run_tagger(call: Call) -> web.StreamResponse:
    """Run a tagger; always refused, since there are none."""
    name = (await read_form(TaggerForm, call.request)).name
    if not name:
        raise bad_request("name: required")
    raise RequestError(HTTPStatus.CONFLICT, f"there is no tagger {name!r}")
