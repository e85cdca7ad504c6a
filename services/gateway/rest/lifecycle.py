"""Starts and stops jobs with the payloads and rules of NATS, and answers with the outcome."""

from http import HTTPStatus

from aiohttp import web

from services.gateway.call import Call
from services.gateway.errors import RequestError, forbidden, of_refusal
from services.gateway.frame.answers import answer, message
from services.gateway.frame.bodies import read_body
from services.gateway.frame.routes import Routes
from services.gateway.rest.jobs import job_answer
from services.gateway.rest.models import JobObject, Message
from shared.broker.outcome import NoOutcome
from shared.domain import reasons
from shared.domain.fitting import HEADROOM, fitted
from shared.domain.intake import job_started, job_stopped, stop_of
from shared.domain.payloads import StartPayload, StopPayload
from shared.domain.wire import read_object
from shared.errors import Refused

routes = Routes[Call]("jobs")


@routes("POST PUT", "/api/jobs/start_job/", body=StartPayload, answers={201: Message}, failures=(400, 413, 422, 503))
async def start_job(call: Call) -> web.StreamResponse:
    """Record the start of a job."""
    payload, _ = read_object(StartPayload, await read_body(call.request))
    event = job_started(payload, await call.gateway.link.clusters_with(payload.cluster))
    for tag in event.tags:
        if not call.user.may_write_scope(tag.scope):
            raise forbidden(f"tags: the scope {tag.scope!r} may not be written by {call.user.name}")
    fitting = fitted(event, call.gateway.link.client.max_payload - HEADROOM)
    if fitting is None:
        raise of_refusal(Refused(reasons.TOO_LARGE, "the event is larger than the broker takes, even without metadata"))
    ended = stop_of(payload)
    outcome = await call.gateway.commands.decide(fitting, call.user, *([ended] if ended is not None else []))
    if outcome.kind == "duplicate":
        raise RequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"a job with jobId {event.job_id}, cluster {event.cluster} and startTime {event.start_time} exists already (id {outcome.job})",
        )
    return message("success", HTTPStatus.CREATED)


@routes("POST PUT", "/api/jobs/stop_job/", body=StopPayload, answers={200: JobObject}, failures=(400, 404, 413, 422, 503))
async def stop_job(call: Call) -> web.StreamResponse:
    """Record the end of a job."""
    payload, _ = read_object(StopPayload, await read_body(call.request))
    outcome = await call.gateway.commands.decide(job_stopped(payload, may_wait=False), call.user)
    if outcome.kind == "duplicate":
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, f"jobId {payload.job_id} (id {outcome.job}) has already been stopped")
    rows = await call.gateway.jobs.by_id(call.user, outcome.job) if outcome.job is not None else None
    if rows is None:
        raise NoOutcome(outcome.sequence)  # applied and already deleted, so there is no job to return
    return answer(job_answer(call, rows, with_tags=False))
