"""Deleting jobs from the database; the archive and the log keep them."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field

from services.gateway.frame.answers import message
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.reading.jobs import JobRows
from services.gateway.reading.model import JobFilter, Range
from services.gateway.rest.jobs import visible_job
from services.gateway.rest.metadata import JobRequest, requested_job
from services.gateway.rest.models import Message
from services.gateway.site import Call
from shared.domain.events import JobDeleted
from shared.domain.wire import read_object

routes = Routes[Call]("jobs")


async def _delete(call: Call, rows: JobRows) -> web.StreamResponse:
    (job,) = rows.jobs
    await call.site.commands.decide(JobDeleted(id=job.id, cluster=job.cluster), call.user)
    return message(f"Successfully deleted job {job.id}")


@routes("DELETE", "/api/jobs/delete_job/{id}", answers={200: Message}, failures=(400, 404, 503))
async def delete_job(call: Call) -> web.StreamResponse:
    """Delete one job, by database id."""
    return await _delete(call, await visible_job(call))


@routes("DELETE", "/api/jobs/delete_job/", body=JobRequest, answers={200: Message}, failures=(400, 404, 413, 503))
async def delete_job_by_request(call: Call) -> web.StreamResponse:
    """Delete one job, by the scheduler's id."""
    request, _ = read_object(JobRequest, await call.request.read())
    return await _delete(call, await requested_job(call, request))


class DeleteBeforeQuery(Query):
    omit_tagged: Annotated[Literal["none", "all", "user"], BeforeValidator(lambda word: word or "none")] = Field(
        "none",
        alias="omit-tagged",
        description="Keep jobs with any tag (`all`), or with a tag that no tagger sets (`user`).",
    )


@routes("DELETE", "/api/jobs/delete_job_before/{ts}", query=DeleteBeforeQuery, answers={200: Message}, failures=(400, 503))
async def delete_jobs_before(call: Call) -> web.StreamResponse:
    """Delete all jobs that started before a time (Unix seconds)."""
    before = call.number_in_path("ts")
    omit = read_query(DeleteBeforeQuery, call.request).omit_tagged
    wanted = JobFilter(
        start_time=Range(most=before - 1),
        has_tags=False if omit == "all" else None,
        has_tags_of_people=False if omit == "user" else None,
    )
    deleted, last = 0, 0
    async for keys in call.site.jobs.keys(call.user, wanted):
        # Chunk after chunk: the log gets no further ahead of the database than one of them.
        last = await call.site.commands.record([JobDeleted(id=key, cluster=cluster) for key, cluster in keys], call.user)
        await call.site.commands.applied(last)
        deleted += len(keys)
    return message(f"Successfully deleted {deleted} jobs")
