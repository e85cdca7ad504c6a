"""What admins configure for the whole site: the notice; taggers, of which there are none here."""

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.errors import RequestError, bad_request
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.query import Query
from services.gateway.frame.routes import Routes
from services.gateway.rest.models import TaggerObject
from services.gateway.site import Call

routes = Routes[Call]("configuration", guard=Guard.CONFIG)

NOTICE = "notice"  # the name in the table of texts
MAX_CHARACTERS = 10_000


class NoticeForm(Query):
    content: str = Field("", alias="new-content", description=f"At most {MAX_CHARACTERS} characters; empty takes the notice away.")


@routes("POST", "/config/notice/", form=NoticeForm, answers={200: str}, failures=(400, 413, 503))
async def set_notice(call: Call) -> web.StreamResponse:
    """Set the notice that pages show to everybody."""
    content = (await read_form(NoticeForm, call.request)).content
    if len(content) > MAX_CHARACTERS:
        raise bad_request(f"new-content: more than {MAX_CHARACTERS} characters")
    if "\0" in content:
        raise bad_request("new-content: contains a null character")
    await call.site.users.set_site_text(NOTICE, content)
    return web.Response(text="Update Notice Content Success" if content else "Empty Notice Content Success")


@routes("GET", "/config/taggers/", answers={200: list[TaggerObject]})
async def list_taggers(_: Call) -> web.StreamResponse:
    """The taggers of the site: none."""
    return answer([])


class TaggerForm(Query):
    name: Annotated[str, Field(max_length=255)] = ""


@routes("POST", "/config/taggers/run/", form=TaggerForm, answers={}, failures=(400, 409, 413))
async def run_tagger(call: Call) -> web.StreamResponse:
    """Run a tagger: there is none, so this is refused."""
    name = (await read_form(TaggerForm, call.request)).name
    if not name:
        raise bad_request("name: the tagger to run is needed")
    raise RequestError(HTTPStatus.CONFLICT, f"there is no tagger {name!r}")
