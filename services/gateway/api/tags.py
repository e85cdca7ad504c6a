"""Tags of jobs."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.api.jobs import job_answer, visible_job
from services.gateway.errors import bad_request, forbidden
from services.gateway.http.answers import answer
from services.gateway.http.routes import Routes
from services.gateway.models import JobObject
from services.gateway.site import Call
from shared.broker.outcome import NoOutcome
from shared.domain.events import JobTagged, JobUntagged, Tag
from shared.domain.intake import MAX_TAGS
from shared.domain.values import GLOBAL_SCOPE
from shared.domain.wire import WireModel, read_list

routes = Routes("tags")

Text = Annotated[str, Field(min_length=1)]


class TagRequest(WireModel):
    """``scope`` is ``global`` when it is empty."""

    type: Text
    name: Text
    scope: str = ""


async def _requested_tags(call: Call) -> list[Tag]:
    """Each once, in order. Raises RequestError: 400, or 403 for a scope that the user may not write."""
    requests = read_list(TagRequest, await call.request.read())
    if len(requests) > MAX_TAGS:
        raise bad_request(f"more than {MAX_TAGS} tags")
    tags = [Tag(type=r.type, name=r.name, scope=r.scope or GLOBAL_SCOPE) for r in requests]
    for tag in tags:
        if not call.user.may_write_scope(tag.scope):
            raise forbidden(f"the scope {tag.scope!r} may not be written by {call.user.name}")
    return list({tag.key: tag for tag in tags}.values())


async def _change(call: Call, event_type: type[JobTagged] | type[JobUntagged]) -> web.StreamResponse:
    rows = await visible_job(call)
    (job,) = rows.jobs
    tags = await _requested_tags(call)
    if tags:
        outcome = await call.site.commands.decide(event_type(id=job.id, cluster=job.cluster, tags=tags), call.user)
        changed = await call.site.jobs.by_id(call.user, job.id)
        if changed is None:
            raise NoOutcome(outcome.sequence)
        rows = changed
    return answer(job_answer(call, rows))


@routes("POST PATCH", "/api/jobs/tag_job/{id}", body=list[TagRequest] | None, answers={200: JobObject}, failures=(400, 404, 413, 503))
async def tag_job(call: Call) -> web.StreamResponse:
    """Add tags to a job; those that do not exist are created."""
    return await _change(call, JobTagged)


@routes("DELETE", "/api/jobs/tag_job/{id}", body=list[TagRequest] | None, answers={200: JobObject}, failures=(400, 404, 413, 503))
async def untag_job(call: Call) -> web.StreamResponse:
    """Take tags off a job; the tags themselves stay."""
    return await _change(call, JobUntagged)
