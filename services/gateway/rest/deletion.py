"""Deletes jobs from the database. The archive and the log retain them."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field

from services.gateway.call import Call
from services.gateway.frame.answers import message
from services.gateway.frame.bodies import read_body
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.reading.model import FoundJobs, JobFilter, Range, StoredJob
from services.gateway.rest.jobs import job_in_path
from services.gateway.rest.metadata import JobRequest, requested_job
from services.gateway.rest.models import Message
from shared.domain.events import JobDeleted
from shared.domain.wire import read_object

routes = Routes[Call]("jobs")


async def _delete(call: Call, rows: FoundJobs[StoredJob]) -> web.StreamResponse:
    (job,) = rows.jobs
    await call.gateway.commands.decide(JobDeleted(id=job.id, cluster=job.cluster), call.user)
    return message(f"Successfully deleted job {job.id}")


@routes("DELETE", "/api/jobs/delete_job/{id}", answers={200: Message}, failures=(400, 404, 503))
async def delete_job(call: Call) -> web.StreamResponse:
    """Delete one job, by database id."""
    return await _delete(call, await job_in_path(call))


@routes("DELETE", "/api/jobs/delete_job/", body=JobRequest, answers={200: Message}, failures=(400, 404, 413, 503))
async def delete_job_by_request(call: Call) -> web.StreamResponse:
    """Delete one job, by the scheduler's id."""
    request, _ = read_object(JobRequest, await read_body(call.request))
    return await _delete(call, await requested_job(call, request))


class DeleteBeforeQuery(Query):
    omit_tagged: Annotated[Literal["none", "all", "user"], BeforeValidator(lambda word: word or "none")] = Field(
        "none",
        alias="omit-tagged",
        description="Exclude jobs with any tag (`all`), or with a tag that was not set by a tagger (`user`).",
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
    async for keys in call.gateway.jobs.keys(call.user, wanted):
        # One chunk at a time, so that the log is never more than one chunk ahead of the database.
        last = await call.gateway.commands.record([JobDeleted(id=key, cluster=cluster) for key, cluster in keys], call.user)
        await call.gateway.commands.applied(last)
        deleted += len(keys)
    return message(f"Successfully deleted {deleted} jobs")
