"""Wall screens by link: an admin creates the link of a cluster, and a browser without a session shows its numbers."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated

from aiohttp import hdrs, web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, bad_request, not_found
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.models import Answer
from services.gateway.frame.query import Query
from services.gateway.frame.routes import Routes
from services.gateway.metrics.wall import WallPart
from services.gateway.people.auth.guards import WALL_CLUSTER
from services.gateway.people.users.rules import MAX_TEXT, RuleBroken
from services.gateway.people.users.store import of_source
from services.gateway.web.pages import WALL_PATH

routes = Routes[Call]("wall screens", guard=Guard.CONFIG)


class WallLinkForm(Query):
    cluster: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    label: Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        "", description="Where the screen is, shown in the list of tokens."
    )
    program: Annotated[str, Field(pattern=r"^(true|false|)$")] = Field(
        "", description="`true`: the link stays valid when its admin is changed or removed."
    )


class WallLink(Answer):
    id: str = Field(description="Revokes the link at `DELETE /config/tokens/{id}`.")
    cluster: str
    expires: int | None = Field(description="Unix seconds; null: never.")
    link: str = Field(description="Path with the token in its fragment. It is not stored: this is the only answer that has it.")


@routes("POST", "/config/walls/", form=WallLinkForm, answers={200: WallLink}, failures=(400, 404, 413, 422, 500, 503))
async def create_wall_link(call: Call) -> web.StreamResponse:
    """Create a link that opens the wall screen of a cluster without a session."""
    form = await read_form(WallLinkForm, call.request)
    if form.cluster not in call.gateway.link.clusters:
        raise bad_request(f"cluster: there is no cluster {form.cluster[:100]!r}")
    account = of_source(call.user.source, await call.gateway.users.find(call.user.name))
    if account is None:
        raise not_found(f"there is no user {call.user.name!r} in the database")
    tokens = call.gateway.auth.tokens
    try:
        issued, token = await tokens.issue_wall(account, form.cluster, label=form.label, for_program=form.program == "true")
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    path = f"{call.gateway.settings.base_path}{WALL_PATH.removeprefix('/')}"
    made = {"id": issued.id, "cluster": issued.wall, "expires": issued.expires, "link": f"{path}#{token}"}
    response = answer(made)
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


class WallSubCluster(Answer):
    name: str
    states: dict[str, int] = Field(description="Number of nodes by scheduler state.")
    cores_allocated: int
    cores: int = Field(description="Of all its reported nodes.")
    accelerators_allocated: int
    accelerators: int = Field(description="Of all its reported nodes.")


class WallStates(Answer):
    state: str
    times: list[int]
    counts: list[int]


class WallObject(Answer):
    """Sums over a cluster. Times in Unix seconds."""

    cluster: str
    site: str
    time_zone: str = Field(description="Of the site, an IANA name; empty: none is set.")
    version: str
    time: int = Field(description="When the numbers were read.")
    running_jobs: int
    users: int = Field(description="Number of users with running jobs.")
    sub_clusters: list[WallSubCluster]
    history: list[WallStates] = Field(description="Number of nodes by state over the last four hours.")
    power_kw: float | None = Field(description="Newest values of the first metric in watts, summed; null without one.")


@routes("GET", "/frontend/wall/", answers={200: WallObject}, failures=(404, 503), guard=Guard.WALL)
async def wall_numbers(call: Call) -> web.StreamResponse:
    """The numbers of the wall screen that the link in the token is for."""
    name, gateway = call.request[WALL_CLUSTER], call.gateway
    numbers = await gateway.walls.numbers(name)
    response = answer(
        {
            "cluster": name,
            "site": gateway.settings.site_name,
            "timeZone": gateway.settings.time_zone,
            "version": version("jobtide"),
            "time": numbers.time,
            "runningJobs": numbers.running_jobs,
            "users": numbers.users,
            "subClusters": [_part(part) for part in numbers.parts],
            "history": [{"state": one.state, "times": one.times, "counts": one.counts} for one in numbers.history],
            "powerKw": numbers.power_kw,
        }
    )
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


def _part(part: WallPart) -> dict[str, object]:
    return {
        "name": part.name,
        "states": part.states,
        "coresAllocated": part.cores_allocated,
        "cores": part.cores,
        "acceleratorsAllocated": part.accelerators_allocated,
        "accelerators": part.accelerators,
    }
