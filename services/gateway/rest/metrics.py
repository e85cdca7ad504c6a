"""Metric data of one job in the shape of the GraphQL interface."""

from collections.abc import Sequence
from http import HTTPStatus

import structlog
from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, public_text
from services.gateway.frame.answers import answer, answer_in_thread
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.metrics.rest import Json, as_list
from services.gateway.metrics.selection import MetricSelection
from services.gateway.rest.jobs import job_in_path
from services.gateway.rest.models import JobMetricsAnswer
from shared.domain.clusters import Scope
from shared.errors import Unavailable

log = structlog.get_logger()
routes = Routes[Call]("jobs")


class JobMetricsQuery(Query):
    metric: list[str] = Field([], description="Only these metrics.")
    scope: list[Scope] = Field([], description="Only these scopes; by default the node scope, or all archived scopes.")


@routes(
    "GET",
    "/api/jobs/metrics/{id}",
    query=JobMetricsQuery,
    answers={200: JobMetricsAnswer, 404: JobMetricsAnswer, 500: JobMetricsAnswer, 503: JobMetricsAnswer},
    failures=(400,),
)
async def job_metrics(call: Call) -> web.StreamResponse:
    """Metric data of one job; long series are resampled to the coarsest configured resolution."""
    query = read_query(JobMetricsQuery, call.request)
    try:
        (job,) = (await job_in_path(call)).jobs
        wanted = MetricSelection(_names(query.metric), _names(query.scope), call.gateway.metrics.settings.resolution(None))
        metrics = await call.gateway.metrics.jobs.of(job, wanted)
    except RequestError as e:
        return _failed(e.status, str(e))
    except Unavailable as e:
        log.warning("job_metrics_unavailable", why=str(e))
        return _failed(HTTPStatus.SERVICE_UNAVAILABLE, public_text(e))
    return await answer_in_thread({"data": {"jobMetrics": as_list(metrics)}, "error": None})


def _names(given: Sequence[str]) -> tuple[str, ...] | None:
    return tuple(dict.fromkeys(given)) or None


def _failed(status: HTTPStatus, text: str) -> web.Response:
    failed: Json = {"data": None, "error": {"message": text}}
    return answer(failed, status)
