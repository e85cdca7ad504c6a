"""Reads jobs."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import structlog
from aiohttp import hdrs, web
from pydantic import AfterValidator, Field

from services.gateway.call import Call
from services.gateway.errors import bad_request, not_found
from services.gateway.frame.answers import JSON, answer, answer_in_thread, encode
from services.gateway.frame.bodies import read_body
from services.gateway.frame.layers import compress
from services.gateway.frame.query import Integer, Positive, Query, StrictQuery, integer, read_query
from services.gateway.frame.routes import Routes
from services.gateway.metrics.model import NamedMetric
from services.gateway.metrics.rest import as_list, by_name_and_scope
from services.gateway.metrics.selection import MetricSelection
from services.gateway.reading.model import FoundJobs, JobFilter, Range, Slice, StoredJob, TextMatch
from services.gateway.rest.models import JobList, JobWithAllMetrics, JobWithMetrics, UsedNodes
from services.gateway.rest.render import Json, job_object
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
    """Parse ``A-B``, two integers of at least 0. Raises ValueError."""
    parts = text.split("-")
    if len(parts) != 2:
        raise ValueError("a range is FROM-TO in Unix seconds")
    return integer(parts[0]), integer(parts[1])


class ListQuery(StrictQuery):
    state: list[JobState] = Field([], description="Only jobs in one of these states.")
    cluster: str | None = None
    project: str | None = None
    start_time: Annotated[str, AfterValidator(_range)] | None = Field(
        None, alias="start-time", description="`FROM-TO` in Unix seconds, both included."
    )
    items: Positive = Field(DEFAULT_ITEMS, alias="items-per-page", description="Page size, without upper bound: long pages are streamed.")
    page: Positive = Field(1, description="Counted from 1.")
    with_metadata: str | None = Field(None, alias="with-metadata", description="Include `metaData`; any value has this effect.")

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
    piece, with_metadata = Slice(query.items, (query.page - 1) * query.items), query.with_metadata is not None
    chunks = call.gateway.jobs.pages(call.user, query.filter(), piece, with_metadata=with_metadata)
    objects = (await _objects(call, found, with_metadata=with_metadata) async for found in chunks)
    jobs: list[Json] = await anext(objects, [])
    if len(jobs) < call.gateway.settings.chunk_rows or query.items == len(jobs):
        return answer({"jobs": jobs, "items": query.items, "page": query.page})
    tail = encode({"items": query.items, "page": query.page})
    return await _stream(call, jobs, objects, tail)


async def _stream(call: Call, first: list[Json], others: AsyncIterator[list[Json]], tail: bytes) -> web.StreamResponse:
    """A page of any length, with one chunk in memory."""
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: JSON})
    compress(call.request, response)

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"jobs":[' + b",".join(map(encode, first))
        async for jobs in others:
            yield b"," + b",".join(map(encode, jobs))
        yield b"]," + tail[1:] + b"\n"

    return await stream(call.request, response, parts())


async def stream(request: web.Request, response: web.StreamResponse, parts: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send the body in parts. An error in the middle aborts the transfer, so that the client notices it."""
    try:
        await response.prepare(request)
        async for part in parts:
            await response.write(part)
        await response.write_eof()
    except (Unavailable, TimeoutError) as e:
        log.warning("page_aborted", why=str(e))
        _abort(request)
    except BaseException:
        _abort(request)
        raise
    return response


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _objects(call: Call, found: FoundJobs[StoredJob], *, with_metadata: bool) -> list[Json]:
    now = call.gateway.clock()
    statistics = await call.gateway.archive.statistics(found.jobs)
    return [
        job_object(job, now, tags=found.tags.get(job.id, ()), with_metadata=with_metadata, statistics=statistics.get(job.id))
        for job in found.jobs
    ]


async def job_in_path(call: Call) -> FoundJobs[StoredJob]:
    """The job with the database id in the path. Raises RequestError: 400, or 404 if the user sees no such job."""
    key = call.number_in_path("id")
    found = await call.gateway.jobs.by_id(call.user, await call.gateway.jobs.current_id(key))
    if found is None:
        raise not_found(f"no job with the database id {key}")
    return found


def job_answer(call: Call, rows: FoundJobs[StoredJob], *, with_tags: bool = True, with_metadata: bool = False) -> Json:
    (job,) = rows.jobs
    return job_object(job, call.gateway.clock(), tags=rows.tags.get(job.id, ()) if with_tags else (), with_metadata=with_metadata)


class JobQuery(Query):
    all_metrics: str | None = Field(None, alias="all-metrics", description="`true` adds the metric data.")


@routes("GET", "/api/jobs/{id}", query=JobQuery, answers={200: JobWithAllMetrics}, failures=(400, 404, 503))
async def job_by_id(call: Call) -> web.StreamResponse:
    """One job by its database id, optionally with all metric data."""
    rows = await job_in_path(call)
    wants_data = read_query(JobQuery, call.request).all_metrics == "true"
    data = by_name_and_scope(await _metrics(call, rows, None)) if wants_data else None
    return await answer_in_thread({"Meta": job_answer(call, rows, with_metadata=True), "Data": data})


@routes("POST", "/api/jobs/{id}", body=list[str] | None, answers={200: JobWithMetrics}, failures=(400, 404, 413, 503))
async def job_with_metrics(call: Call) -> web.StreamResponse:
    """One job by its database id with selected metrics; `null` selects all."""
    rows = await job_in_path(call)
    metrics = await _metrics(call, rows, metric_names(await read_body(call.request)))
    return await answer_in_thread({"Meta": job_answer(call, rows, with_metadata=True), "Data": as_list(metrics)})


async def _metrics(call: Call, rows: FoundJobs[StoredJob], names: list[str] | None) -> Sequence[NamedMetric]:
    """Cores of a job on one node, otherwise nodes. Long series are reduced to the coarsest timestep of the cluster."""
    (job,) = rows.jobs
    scope = "core" if job.num_nodes == 1 else "node"
    resolution = call.gateway.metrics.settings.resolution(_coarsest_timestep(call, job.cluster))
    return await call.gateway.metrics.jobs.of(
        job, MetricSelection(None if names is None else tuple(dict.fromkeys(names)), (scope,), resolution)
    )


def _coarsest_timestep(call: Call, cluster: str) -> int:
    """0, which keeps the measured resolution, for a cluster that is not known yet: the archive is readable without the broker."""
    try:
        known = call.gateway.link.clusters.get(cluster)
    except Unavailable:
        return 0
    return max((metric.timestep for metric in known.metric_config), default=0) if known is not None else 0


def metric_names(body: bytes) -> list[str] | None:
    """Read a JSON list of names, None for ``null``. Raises RequestError (400)."""
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
    ts: Integer = Field(description="Unix seconds; only running jobs that started before this time.")


@routes("GET", "/api/jobs/used_nodes", query=UsedNodesQuery, answers={200: UsedNodes}, failures=(400, 503))
async def used_nodes(call: Call) -> web.StreamResponse:
    """Hosts in use by running jobs."""
    query = read_query(UsedNodesQuery, call.request)
    return answer({"usedNodes": await call.gateway.jobs.used_nodes(call.user, query.ts)})
