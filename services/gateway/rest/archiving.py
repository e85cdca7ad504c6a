"""Jobs whose archiving failed, and the request to try again: for programs with a token, and for the pages of admins and support."""

from typing import Annotated

import structlog
from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.models import Answer
from services.gateway.frame.query import Integer, Positive, StrictQuery, read_query
from services.gateway.frame.routes import Routes
from services.gateway.reading.archiving import archiving_failures, failed_jobs
from shared.domain.events import JobArchiveRequested

log = structlog.get_logger()
routes = Routes[Call]("operation")
pages = Routes[Call]("operators", guard=Guard.STAFF)

MAX_FAILURES = 1000
MAX_IDS = 200
MAX_REQUESTS = 1000  # in one answer


class ArchivingFailure(Answer):
    """A stopped job without an archive entry, which nobody tries to archive any more."""

    id: int = Field(description="Database id.")
    job_id: int
    cluster: str
    user: str
    project: str
    start_time: int
    duration: int
    job_state: str
    is_overdue: bool = Field(description="It exceeded its walltime and was presumed to have ended; its stop never came.")
    reason: str | None = Field(description="Of the latest attempt; null if there was none, or if an older version made it.")


class ArchivingFailureList(Answer):
    count: int = Field(description="Of all failures.")
    failures: list[ArchivingFailure]
    items: int
    page: int


class FailureQuery(StrictQuery):
    items: Annotated[Positive, Field(le=MAX_FAILURES)] = Field(25, alias="items-per-page", description="Page size.")
    page: Positive = Field(1, description="Counted from 1.")


@routes("GET", "/api/archiving/failures/", query=FailureQuery, answers={200: ArchivingFailureList}, failures=(400, 503))
@pages("GET", "/frontend/archiving/failures/", query=FailureQuery, answers={200: ArchivingFailureList}, failures=(400, 503))
async def list_failures(call: Call) -> web.StreamResponse:
    """Jobs whose archiving failed for good, newest first, with the reason."""
    query = read_query(FailureQuery, call.request)
    count, rows = await archiving_failures(call.gateway.engine, limit=query.items, first=(query.page - 1) * query.items)
    failures = [
        {
            "id": row["id"],
            "jobId": row["job_id"],
            "cluster": row["cluster"],
            "user": row["hpc_user"],
            "project": row["project"],
            "startTime": row["start_time"],
            "duration": row["duration"],
            "jobState": row["job_state"],
            "isOverdue": bool(row["is_overdue"]),
            "reason": row["archiving_failure"],
        }
        for row in rows
    ]
    return answer({"count": count, "failures": failures, "items": query.items, "page": query.page})


class RetryQuery(StrictQuery):
    id: Annotated[list[Positive], Field(max_length=MAX_IDS)] = Field(
        [], description="Database ids of jobs; those whose archiving has not failed are left out. Without any: all failures."
    )
    after: Integer = Field(0, description="Database ids after this one only: `last` of the previous answer.")


class ArchivingRequested(Answer):
    """Up to 1,000 jobs per request. With `hasMore`, continue with `after` = `last`."""

    requested: int
    last: int = Field(description="Database id of the last job; `after` of the request if there was none.")
    has_more: bool


@routes("POST", "/api/archiving/retry/", query=RetryQuery, answers={200: ArchivingRequested}, failures=(400, 503))
@pages("POST", "/frontend/archiving/retry/", query=RetryQuery, answers={200: ArchivingRequested}, failures=(400, 503), guard=Guard.CONFIG)
async def retry(call: Call) -> web.StreamResponse:
    """Request the archiving of jobs again for which it failed; answers when they wait for the archiver."""
    query, commands = read_query(RetryQuery, call.request), call.gateway.commands
    jobs = await failed_jobs(call.gateway.engine, query.id, after=query.after, limit=MAX_REQUESTS + 1)
    now = jobs[:MAX_REQUESTS]
    if now:
        await commands.applied(await commands.record([JobArchiveRequested(id=id_, cluster=cluster) for id_, cluster in now], call.user))
        log.info("archiving_requested", user=call.user.name, jobs=len(now))
    return answer({"requested": len(now), "last": now[-1][0] if now else query.after, "hasMore": len(jobs) > len(now)})
