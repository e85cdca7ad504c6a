"""Tags of jobs."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import bad_request, not_found
from services.gateway.frame.answers import answer
from services.gateway.frame.bodies import read_body
from services.gateway.frame.routes import Routes
from services.gateway.rest.jobs import job_answer, job_in_path
from services.gateway.rest.models import JobObject
from services.gateway.writing.tagging import JobChange, require_writable
from shared.broker.outcome import NoOutcome
from shared.domain.events import JobTagged, JobUntagged, Tag
from shared.domain.intake import MAX_TAGS
from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE, MAX_NAME
from shared.domain.wire import WireModel, read_list

routes = Routes[Call]("tags")

FAILURES = (400, 404, 413, 422, 429, 503)
Text = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class TagRequest(WireModel):
    """An empty ``scope`` means ``global``."""

    type: Text
    name: Text
    scope: Annotated[str, Field(max_length=MAX_NAME)] = ""


async def _requests(call: Call) -> list[TagRequest]:
    """Raises RequestError (400), Refused."""
    requests = read_list(TagRequest, await read_body(call.request))
    if len(requests) > MAX_TAGS:
        raise bad_request(f"more than {MAX_TAGS} tags")
    return requests


def _writable(call: Call, requests: list[TagRequest]) -> list[Tag]:
    """The tags in order, without duplicates. Raises RequestError (403) for a scope that the user may not write."""
    tags = [Tag(type=r.type, name=r.name, scope=r.scope or GLOBAL_SCOPE) for r in requests]
    for tag in tags:
        require_writable(call.user, tag.scope)
    return list({tag.key: tag for tag in tags}.values())


async def _change(call: Call, change: JobChange) -> web.StreamResponse:
    rows = await job_in_path(call)
    (job,) = rows.jobs
    tags = _writable(call, await _requests(call))
    if tags:
        sequence = await call.gateway.tagging.change_job(call.user, change, job.id, job.cluster, tags)
        changed = await call.gateway.jobs.by_id(call.user, job.id)
        if changed is None:
            raise NoOutcome(sequence)
        rows = changed
    return answer(job_answer(call, rows))


@routes("POST PATCH", "/api/jobs/tag_job/{id}", body=list[TagRequest] | None, answers={200: JobObject}, failures=FAILURES)
async def tag_job(call: Call) -> web.StreamResponse:
    """Add tags to a job; tags that do not exist are created."""
    return await _change(call, JobTagged)


@routes("DELETE", "/api/jobs/tag_job/{id}", body=list[TagRequest] | None, answers={200: JobObject}, failures=FAILURES)
async def untag_job(call: Call) -> web.StreamResponse:
    """Remove tags from a job; the tags themselves remain."""
    return await _change(call, JobUntagged)


@routes("DELETE", "/api/tags/", body=list[TagRequest] | None, answers={200: str}, failures=FAILURES)
async def delete_tags(call: Call) -> web.StreamResponse:
    """Delete tags from all jobs and from the list of tags; scopes other than global and admin are ignored.

    All of them must exist, or none is deleted.
    """
    requests = await _requests(call)
    tags = _writable(call, [r for r in requests if r.scope in (GLOBAL_SCOPE, ADMIN_SCOPE)])
    for missing in await call.gateway.jobs.missing_tags([tag.key for tag in tags]):
        raise not_found("there is no tag " + "/".join(missing))
    await call.gateway.tagging.remove(call.user, tags)
    return web.Response(text=f"Deleted Tags from DB: {len(tags)} successfull of {len(requests)} requested\n")
