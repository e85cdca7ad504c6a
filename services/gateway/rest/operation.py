"""For operators: refusals and the state of the site."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.errors import bad_request
from services.gateway.frame.answers import answer
from services.gateway.frame.query import Integer, Positive, StrictQuery, read_query
from services.gateway.frame.routes import Routes
from services.gateway.reading.rejections import RejectionFilter, rejections
from services.gateway.rest.models import RejectionList, ReplayedMessages
from services.gateway.rest.status import SiteStatus, site_status
from services.gateway.site import Call
from shared.domain.reasons import REASONS
from shared.errors import Unavailable
from shared.replay import ReplayFilter, replay

routes = Routes[Call]("operation")

MAX_REJECTIONS = 1000


class RejectionQuery(StrictQuery):
    code: list[str] = Field([], description="Any of these reason codes.")
    since: Integer | None = Field(None, description="Unix seconds: refused at that time or later.")
    after: Integer | None = Field(None, description="A sequence of the log: only later ones, for following.")
    items: Annotated[Positive, Field(le=MAX_REJECTIONS)] = Field(25, alias="items-per-page", description="Page size.")
    page: Positive = Field(1, description="Counted from 1.")


@routes("GET", "/api/rejections/", query=RejectionQuery, answers={200: RejectionList}, failures=(400, 503))
async def list_rejections(call: Call) -> web.StreamResponse:
    """Inputs that could not take effect, newest first."""
    query = read_query(RejectionQuery, call.request)
    wanted = RejectionFilter(tuple(query.code), query.since, query.after)
    rows = await rejections(call.site.engine, wanted, most=query.items, first=(query.page - 1) * query.items)
    found = [
        {
            "sequence": row["seq"],
            "time": row["time"],
            "code": row["code"],
            "field": row["field"],
            "text": row["text"],
            "subject": row["subject"],
            "intakeSequence": row["intake_seq"],
            "line": row["line"],
            "jobId": row["job_id"],
            "cluster": row["cluster"],
            "excerpt": row["excerpt"],
        }
        for row in rows
    ]
    return answer({"rejections": found, "items": query.items, "page": query.page})


class ReplayQuery(StrictQuery):
    code: str = Field(description="The reason code of the rejections.")
    since: Integer = Field(0, description="Unix seconds: rejected at that time or later.")
    cluster: str | None = Field(None, description="Rejections of this cluster only.")
    after: Integer = Field(0, description="Intake messages after this sequence only: `last` of the previous answer.")


@routes("POST", "/api/rejections/replay/", query=ReplayQuery, answers={200: ReplayedMessages}, failures=(400, 503))
async def replay_rejections(call: Call) -> web.StreamResponse:
    """Publish the raw messages of rejections to the intake again, up to 1,000 per request; repeating it is safe."""
    query = read_query(ReplayQuery, call.request)
    if query.code not in REASONS:
        raise bad_request(f"code: {query.code[:60]!r} is none of {', '.join(REASONS)}")
    if query.cluster is not None and "\0" in query.cluster:
        raise bad_request("cluster: has a NUL character")
    link, settings = call.site.link, call.site.settings
    wanted = ReplayFilter(query.code, query.since, query.cluster, query.after)
    jetstream = link.client.jetstream(timeout=settings.outcome_timeout_s)
    done = await replay(call.site.engine, jetstream, link.publisher, link.nats, wanted, deadline_s=settings.outcome_timeout_s)
    return answer({"published": done.published, "expired": done.expired, "last": done.last, "hasMore": done.has_more})


@routes("GET", "/api/status/", answers={200: SiteStatus}, failures=(503,))
async def status(call: Call) -> web.StreamResponse:
    """Streams, positions, lag, archive queue, rejections, running jobs."""
    try:
        client = call.site.link.client
    except Unavailable:
        client = None
    state = await site_status(client, call.site.link.nats, call.site.engine)
    return answer(state.model_dump(by_alias=True))
