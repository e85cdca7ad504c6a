"""Reading jobs."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import structlog
from aiohttp import hdrs, web
from pydantic import AfterValidator, Field

from services.gateway.errors import bad_request, not_found
from services.gateway.frame.answers import JSON, answer, answer_in_thread, encode
from services.gateway.frame.layers import compress
from services.gateway.frame.query import Integer, Positive, Query, StrictQuery, integer, read_query
from services.gateway.frame.routes import Routes
from services.gateway.metrics.model import NamedMetric
from services.gateway.metrics.rest import as_list, by_name_and_scope
from services.gateway.metrics.selection import MetricSelection
from services.gateway.reading.jobs import JobRows, Page
from services.gateway.reading.model import JobFilter, Range, TextMatch
from services.gateway.rest.models import JobList, JobWithAllMetrics, JobWithMetrics, UsedNodes
from services.gateway.rest.render import Json, job_object
from services.gateway.site import Call
from shared.domain.values import JobState
from shared.domain.wire import first_value
from shared.errors import Refused, Unavailable

log = structlog.get_logger()
routes = Routes[Call]("jobs")

DEFAULT_ITEMS = 25


def _range(text: str) -> str:
    start_range(text)
    return text


def start_range(text: str) -> tuple[int, int]:
    """``A-B`` of two integers, not negative. Raises ValueError."""
    parts = text.split("-")
    if len(parts) != 2:
        raise ValueError("a range is FROM-TO in Unix seconds")
    return integer(parts[0]), integer(parts[1])


class ListQuery(StrictQuery):
    state: list[JobState] = Field([], description="Any of these states.")
    cluster: str | None = None
    project: str | None = None
    start_time: Annotated[str, AfterValidator(_range)] | None = Field(
        None, alias="start-time", description="`FROM-TO` in Unix seconds, both included."
    )
    items: Positive = Field(DEFAULT_ITEMS, alias="items-per-page", description="Page size; without upper bound, long pages are streamed.")
    page: Positive = Field(1, description="Counted from 1.")
    with_metadata: str | None = Field(None, alias="with-metadata", description="Include `metaData`; its presence counts, not its value.")

    def filter(self) -> JobFilter:
        started_from, started_to = start_range(self.start_time) if self.start_time is not None else (None, None)
        return JobFilter(
            states=tuple(dict.fromkeys(state.value for state in self.state)) or None,
            cluster=TextMatch.equal(self.cluster),
            project=TextMatch.equal(self.project),
            start_time=Range(started_from, started_to),
        )


@routes("GET", "/api/jobs/", query=ListQuery, answers={200: JobList}, failures=(400, 503))
async def list_jobs(call: Call) -> web.StreamResponse:
    """List jobs, newest start first."""
    query = read_query(ListQuery, call.request)
    page = Page(most=query.items, first=(query.page - 1) * query.items, with_metadata=query.with_metadata is not None)
    chunks = call.site.jobs.pages(call.user, query.filter(), page)
    first = await anext(chunks, None)
    jobs = await _objects(call, first, page) if first else []
    if first is None or len(first.jobs) < call.site.settings.chunk_rows or page.most == len(first.jobs):
        return answer({"jobs": jobs, "items": query.items, "page": query.page})
    tail = encode({"items": query.items, "page": query.page})
    return await _stream(call, jobs, chunks, page, tail)


async def _stream(call: Call, jobs: list[Json], chunks: AsyncIterator[JobRows], page: Page, tail: bytes) -> web.StreamResponse:
    """A page of any length in the memory of one chunk. Breaking off in the middle is told by an unfinished transfer."""
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: JSON})
    compress(call.request, response)
    try:
        await response.prepare(call.request)
        await response.write(b'{"jobs":[' + b",".join(map(encode, jobs)))
        async for rows in chunks:
            await response.write(b"," + b",".join(map(encode, await _objects(call, rows, page))))
        await response.write(b"]," + tail[1:] + b"\n")
        await response.write_eof()
    except (Unavailable, TimeoutError) as e:
        log.warning("page_broken_off", why=str(e))
        _break_off(call.request)
    except BaseException:
        _break_off(call.request)
        raise
    return response


def _break_off(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _objects(call: Call, rows: JobRows, page: Page) -> list[Json]:
    now = call.site.clock()
    statistics = await call.site.archive.statistics(rows.jobs)
    return [
        job_object(job, now, tags=rows.tags.get(job.id, ()), with_metadata=page.with_metadata, statistics=statistics.get(job.id))
        for job in rows.jobs
    ]


async def visible_job(call: Call) -> JobRows:
    """The job of the path's database id. Raises RequestError: 400, or 404 when there is none for this user."""
    key = call.number_in_path("id")
    found = await call.site.jobs.by_id(call.user, key)
    if found is None:
        raise not_found(f"no job with the database id {key}")
    return found


def job_answer(call: Call, rows: JobRows, *, with_tags: bool = True, with_metadata: bool = False) -> Json:
    (job,) = rows.jobs
    return job_object(job, call.site.clock(), tags=rows.tags.get(job.id, ()) if with_tags else (), with_metadata=with_metadata)


class JobQuery(Query):
    all_metrics: str | None = Field(None, alias="all-metrics", description="Exactly `true` adds the metric data.")


@routes("GET", "/api/jobs/{id}", query=JobQuery, answers={200: JobWithAllMetrics}, failures=(400, 404, 503))
async def job_by_id(call: Call) -> web.StreamResponse:
    """One job by its database id, on request with all metric data."""
    rows = await visible_job(call)
    wants_data = read_query(JobQuery, call.request).all_metrics == "true"
    data = by_name_and_scope(await _metrics(call, rows, None)) if wants_data else None
    return await answer_in_thread({"Meta": job_answer(call, rows, with_metadata=True), "Data": data})


@routes("POST", "/api/jobs/{id}", body=list[str] | None, answers={200: JobWithMetrics}, failures=(400, 404, 413, 503))
async def job_with_metrics(call: Call) -> web.StreamResponse:
    """One job by its database id with chosen metrics; `null` means all of them."""
    rows = await visible_job(call)
    metrics = await _metrics(call, rows, metric_names(await call.request.read()))
    return await answer_in_thread({"Meta": job_answer(call, rows, with_metadata=True), "Data": as_list(metrics)})


async def _metrics(call: Call, rows: JobRows, names: list[str] | None) -> Sequence[NamedMetric]:
    """Of a job on one node its cores, else the nodes; long series of all metrics in the coarsest timestep of the cluster."""
    (job,) = rows.jobs
    scope = "core" if job.num_nodes == 1 else "node"
    resolution = call.site.metrics.settings.resolution(_coarsest_timestep(call, job.cluster))
    return await call.site.metrics.jobs.of(
        job, MetricSelection(None if names is None else tuple(dict.fromkeys(names)), (scope,), resolution)
    )


def _coarsest_timestep(call: Call, cluster: str) -> int:
    """0, which leaves data as they are, for a cluster that is not known, or not yet: the archive can be read without the broker."""
    try:
        known = call.site.link.clusters.get(cluster)
    except Unavailable:
        return 0
    return max((metric.timestep for metric in known.metric_config), default=0) if known is not None else 0


def metric_names(body: bytes) -> list[str] | None:
    """Raises RequestError (400)."""
    try:
        names, _ = first_value(body)
    except Refused as e:
        raise bad_request(f"the body is not JSON: {e}") from e
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise bad_request("the body is not a list of metric names")
    return names


class UsedNodesQuery(Query):
    ts: Integer = Field(description="Unix seconds: running jobs that started before.")


@routes("GET", "/api/jobs/used_nodes", query=UsedNodesQuery, answers={200: UsedNodes}, failures=(400, 503))
async def used_nodes(call: Call) -> web.StreamResponse:
    """Hosts in use by running jobs."""
    query = read_query(UsedNodesQuery, call.request)
    return answer({"usedNodes": await call.site.jobs.used_nodes(call.user, query.ts)})
