"""Metadata of jobs: one key at a time, set or overwritten."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.errors import not_found
from services.gateway.frame.answers import answer
from services.gateway.frame.routes import Routes
from services.gateway.reading.jobs import JobRows
from services.gateway.reading.model import JobFilter, Range, TextMatch
from services.gateway.rest.jobs import job_answer, visible_job
from services.gateway.rest.models import JobObject
from services.gateway.site import Call
from shared.broker.outcome import NoOutcome
from shared.domain.events import JobMetadataEdited
from shared.domain.payloads import Int64
from shared.domain.values import INT64_MAX
from shared.domain.wire import WireModel, read_object

routes = Routes[Call]("jobs")


class MetadataEdit(WireModel):
    key: str = ""
    value: str = ""


class JobRequest(WireModel):
    """A job by the scheduler's id; of several the newest row."""

    job_id: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
    cluster: str | None = None
    start_time: Int64 | None = None

    def filter(self) -> JobFilter:
        return JobFilter(
            job_id=TextMatch.equal(str(self.job_id)),
            cluster=TextMatch.equal(self.cluster),
            start_time=Range(self.start_time, self.start_time),
        )


class MetadataEditByRequest(JobRequest):
    payload: MetadataEdit = MetadataEdit()


async def requested_job(call: Call, request: JobRequest) -> JobRows:
    """Raises RequestError (404)."""
    found = await call.site.jobs.newest(call.user, request.filter())
    if found is None:
        raise not_found(f"no job with jobId {request.job_id} and what else was asked for")
    return found


async def _edit(call: Call, rows: JobRows, edit: MetadataEdit) -> web.StreamResponse:
    (job,) = rows.jobs
    event = JobMetadataEdited(id=job.id, cluster=job.cluster, key=edit.key, value=edit.value)
    outcome = await call.site.commands.decide(event, call.user)
    edited = await call.site.jobs.by_id(call.user, job.id)
    if edited is None:
        raise NoOutcome(outcome.sequence)
    return answer(job_answer(call, edited, with_tags=False, with_metadata=True))


@routes("PATCH", "/api/jobs/edit_meta/{id}", body=MetadataEdit, answers={200: JobObject}, failures=(400, 404, 413, 503))
async def edit_metadata(call: Call) -> web.StreamResponse:
    """Set one key of a job's metadata, by database id."""
    rows = await visible_job(call)
    edit, _ = read_object(MetadataEdit, await call.request.read())
    return await _edit(call, rows, edit)


@routes("PATCH", "/api/jobs/edit_meta/", body=MetadataEditByRequest, answers={200: JobObject}, failures=(400, 404, 413, 503))
async def edit_metadata_by_request(call: Call) -> web.StreamResponse:
    """Set one key of a job's metadata, by the scheduler's id."""
    request, _ = read_object(MetadataEditByRequest, await call.request.read())
    return await _edit(call, await requested_job(call, request), request.payload)
