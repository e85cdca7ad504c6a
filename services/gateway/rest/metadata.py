"""Sets or overwrites single keys of the metadata of jobs."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import forbidden, not_found
from services.gateway.frame.answers import answer
from services.gateway.frame.bodies import read_body
from services.gateway.frame.credentials import Guard
from services.gateway.frame.routes import Routes
from services.gateway.people.identity import ADMIN, SUPPORT
from services.gateway.reading.model import FoundJobs, JobFilter, Range, StoredJob, TextMatch
from services.gateway.rest.jobs import job_answer, job_in_path
from services.gateway.rest.models import JobObject
from shared.broker.outcome import NoOutcome
from shared.domain.events import JobMetadataEdited
from shared.domain.payloads import Int64
from shared.domain.values import INT64_MAX
from shared.domain.wire import WireModel, read_object

routes = Routes[Call]("jobs")

MAX_NOTE = 10_000  # characters
_NOTE_KEY = "message"  # where cc-backend has the note of a job


class MetadataEdit(WireModel):
    key: str = ""
    value: str = ""


class Note(WireModel):
    note: Annotated[str, Field(max_length=MAX_NOTE)]


class JobRequest(WireModel):
    """A job by the scheduler's id; the newest one if several match."""

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


async def requested_job(call: Call, request: JobRequest) -> FoundJobs[StoredJob]:
    """Raises RequestError (404)."""
    found = await call.gateway.jobs.newest(call.user, request.filter())
    if found is None:
        raise not_found(f"no job with jobId {request.job_id} matches the request")
    return found


async def _edit(call: Call, rows: FoundJobs[StoredJob], edit: MetadataEdit) -> web.StreamResponse:
    (job,) = rows.jobs
    event = JobMetadataEdited(id=job.id, cluster=job.cluster, key=edit.key, value=edit.value)
    outcome = await call.gateway.commands.decide(event, call.user)
    edited = await call.gateway.jobs.by_id(call.user, job.id)
    if edited is None:
        raise NoOutcome(outcome.sequence)
    return answer(job_answer(call, edited, with_tags=False, with_metadata=True))


@routes("PATCH", "/api/jobs/edit_meta/{id}", body=MetadataEdit, answers={200: JobObject}, failures=(400, 404, 413, 503))
async def edit_metadata(call: Call) -> web.StreamResponse:
    """Set one key of a job's metadata, by database id."""
    rows = await job_in_path(call)
    edit, _ = read_object(MetadataEdit, await read_body(call.request))
    return await _edit(call, rows, edit)


@routes("PATCH", "/api/jobs/edit_meta/", body=MetadataEditByRequest, answers={200: JobObject}, failures=(400, 404, 413, 503))
async def edit_metadata_by_request(call: Call) -> web.StreamResponse:
    """Set one key of a job's metadata, by the scheduler's id."""
    request, _ = read_object(MetadataEditByRequest, await read_body(call.request))
    return await _edit(call, await requested_job(call, request), request.payload)


@routes("PUT", "/frontend/jobs/{id}/note/", body=Note, answers={200: JobObject}, failures=(400, 403, 404, 413, 503), guard=Guard.FRONTEND)
async def set_note(call: Call) -> web.StreamResponse:
    """Replace the note of a job, which everybody reads who sees the job. For admins and support."""
    if not call.user.roles & {ADMIN, SUPPORT}:
        raise forbidden("notes are written by admins and support only")
    rows = await job_in_path(call)
    note, _ = read_object(Note, await read_body(call.request))
    return await _edit(call, rows, MetadataEdit(key=_NOTE_KEY, value=note.note))
