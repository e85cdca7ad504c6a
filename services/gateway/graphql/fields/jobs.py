"""Jobs and their related data. Only selected fields are read."""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from services.gateway.errors import RequestError, bad_request, not_found
from services.gateway.graphql.arguments import job_filters, numeric_id, order_of, slice_of
from services.gateway.graphql.fields.people import HIDDEN
from services.gateway.graphql.request import QUERY, Ask, GraphqlRequest, answers
from services.gateway.graphql.shape import Failure, Tables, absent_as_none
from services.gateway.people.identity import User
from services.gateway.reading.concurrent import CONCURRENT_COLUMNS
from services.gateway.reading.jobs import shown_duration
from services.gateway.reading.model import FoundJobs, JobFilter, JobSelection, Order, Person, Slice, StoredTag
from shared.domain.advice import advice_of, entries_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobLink:
    id: int
    job_id: int


@dataclass(slots=True)  # a frozen one takes three times as long to make
class JobView:
    """A job with the selected related data. ``row`` has the columns of the selected fields, ``now`` is Unix time."""

    row: Any
    now: int
    tags: Sequence[StoredTag] = ()
    concurrent: Sequence[JobLink] | None = None
    owner: Person | Failure | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """``count`` and ``has_next_page`` are None unless selected."""

    items: Sequence[JobView]
    count: int | None = None
    has_next_page: bool | None = None


@answers(QUERY, "jobs")
async def jobs(ask: Ask) -> JobPage:
    """Reads one job more than the page for ``hasNextPage``. ``count`` runs concurrently, since it may take longer."""
    where = job_filters(ask["filter"], ask.gateway.clock())
    if not ask.selects("count"):
        return await _page(ask, where)
    page = asyncio.create_task(_page(ask, where))
    count = asyncio.create_task(ask.gateway.jobs.count(ask.user, where))
    try:
        return replace(await page, count=await count)
    finally:  # one may have failed, or the request was cancelled
        page.cancel()
        count.cancel()
        await asyncio.gather(page, count, return_exceptions=True)


async def _page(ask: Ask, where: Sequence[JobFilter]) -> JobPage:
    """Without count."""
    order, piece = order_of(ask["order"], ask.gateway.clock()), slice_of(ask["page"])
    if not ask.selects("items") and not ask.selects("hasNextPage"):
        return JobPage(())
    limit, bound = piece.limit, ask.request.settings.max_items
    if ask.selects("items") and limit is not None and limit <= bound:
        assert ask.shape is not None
        names = ask.shape.at("items")
        found = await ask.gateway.jobs.page(ask.user, where, order, piece, _wanted(ask.user, names))
        return JobPage(await _views(ask.request, found, names), has_next_page=found.has_more)
    keys = await ask.gateway.jobs.select(ask.user, where, order, Slice(min(bound if limit is None else limit, bound) + 1, piece.first))
    if len(keys) > bound and (limit is None or limit > bound):
        raise bad_request(f"page: more than {bound} jobs match; request pages")
    items: Sequence[JobView] = ()
    if ask.selects("items"):
        assert ask.shape is not None
        items = await views(ask.request, keys[:limit], ask.shape.at("items"))
    return JobPage(items, has_next_page=limit is not None and len(keys) > limit)


@answers(QUERY, "job")
async def job(ask: Ask) -> JobView:
    """Raises RequestError (404), also for a job that the user may not see."""
    key = await visible_id(ask, ask["id"])
    assert ask.shape is not None
    found = await views(ask.request, [key], ask.shape.names)
    if not found:
        raise no_job(key)
    return found[0]


async def visible_id(ask: Ask, text: str, name: str = "id") -> int:
    """The database id of a job. Raises RequestError: 400 for an invalid id, 404 if the user sees no such job."""
    key = await ask.gateway.jobs.current_id(numeric_id(text, name))
    if not await ask.gateway.jobs.select(ask.user, [JobFilter(ids=(key,))], Order(), Slice(1)):
        raise no_job(key)
    return key


def no_job(key: int) -> RequestError:
    return not_found(f"no job with the database id {key}")


async def views(request: GraphqlRequest, keys: Sequence[int], names: Collection[str]) -> list[JobView]:
    """Jobs in the order of ``keys``, with the data of the Job fields ``names``, in one query per kind of data."""
    return await _views(request, await request.gateway.jobs.jobs(request.user, keys, _wanted(request.user, names)), names)


def _wanted(user: User, names: Collection[str]) -> JobSelection:
    columns = {column for name in names for column in COLUMNS.get(name, ())}
    return JobSelection(columns, "tags" in names, user.may_see_account if "userData" in names else None)


async def _views(request: GraphqlRequest, found: FoundJobs[Any], names: Collection[str]) -> list[JobView]:
    gateway, user, tags = request.gateway, request.user, found.tags
    concurrent = await gateway.jobs.concurrent(user, found.jobs) if "concurrentJobs" in names else {}
    has_owners, sees_all = "userData" in names, user.sees_all_accounts

    def owner(name: str) -> Person | Failure | None:
        return found.owners.get(name) if sees_all or name == user.name else HIDDEN

    now = int(gateway.clock())
    return [
        JobView(
            row,
            now,
            tags.get(row.id, ()),
            [JobLink(*link) for link in concurrent[row.id]] if row.id in concurrent else None,
            owner(row.hpc_user) if has_owners else None,
        )
        for row in found.jobs
    ]


# getters of the types' fields


_QUARTER_S = 900


def time_text(seconds: int) -> str:
    """RFC 3339 in the server's time zone."""
    offset, zone = _zone(time.tzname, seconds // _QUARTER_S)
    day, second = divmod(seconds + offset, 86_400)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{_date(day)}T{hour:02d}:{minute:02d}:{second:02d}{zone}"


@lru_cache(maxsize=10_000)
def _zone(_: tuple[str, str], quarter: int) -> tuple[int, str]:
    """The offset from UTC in seconds and as text. Constant within a quarter of an hour, as zones change on its boundaries."""
    offset = time.localtime(quarter * _QUARTER_S).tm_gmtoff
    hours, minutes = divmod(abs(offset) // 60, 60)
    return offset, f"{'+' if offset > 0 else '-'}{hours:02d}:{minutes:02d}" if offset else "Z"


@lru_cache(maxsize=10_000)
def _date(day: int) -> str:
    """``day`` is counted from 1970-01-01."""
    date = time.gmtime(day * 86_400)
    return f"{date.tm_year:04d}-{date.tm_mon:02d}-{date.tm_mday:02d}"


def _resources(view: JobView) -> list[Json]:
    found: list[Json] = orjson.loads(view.row.resources)
    return found


def _footprint(view: JobView) -> list[tuple[str, str, float]]:
    """Metric, statistic and value of each entry."""
    return [(*metric_and_statistic(key), value) for key, value in _items(view.row.footprint)]


def _energy_footprint(view: JobView) -> list[tuple[str, str, float]]:
    """Hardware, metric and value of each entry."""
    return [(hardware_of(metric), metric, value) for metric, value in _items(view.row.energy_footprint)]


def _items(text: str | None) -> Iterable[tuple[str, float]]:
    return (orjson.loads(text) or {}).items() if text else ()


@lru_cache(maxsize=1000)
def metric_and_statistic(key: str) -> tuple[str, str]:
    metric, _, statistic = key.rpartition("_")
    return metric, statistic


def _metadata(view: JobView) -> orjson.Fragment | None:
    text = view.row.meta_data
    return orjson.Fragment(text) if text else None


def _advice(view: JobView) -> list[Json]:
    return advice_of(view.row.advice) if view.row.advice else []


def _muted_advice(view: JobView) -> list[str]:
    return [entry["rule"] for entry in entries_of(view.row.advice) if entry.get("muted")] if view.row.advice else []


_HARDWARE = (
    (("cpu", "Cpu", "CPU"), "CPU"),
    (("acc", "Acc", "ACC"), "Accelerator"),
    (("mem", "Mem", "MEM"), "Memory"),
    (("core", "Core", "CORE"), "Core"),
)


@lru_cache(maxsize=1000)
def hardware_of(metric: str) -> str:
    """Guessed from the metric's name, because the configuration does not have it."""
    return next((hardware for parts, hardware in _HARDWARE if any(part in metric for part in parts)), "Other")


def _list_query(links: tuple[str, Sequence[JobLink]]) -> str:
    cluster, found = links
    return f"cluster={cluster}" + "".join(f"&jobId={link.job_id}" for link in found)


def _concurrent(view: JobView) -> tuple[str, Sequence[JobLink]] | None:
    return None if view.concurrent is None else (view.row.cluster, view.concurrent)


def _nothing(_: Any) -> None:
    return None


FAILING = frozenset({"Job.userData"})

# Columns that each field of Job needs besides the id.
COLUMNS = {
    "jobId": ("job_id",),
    "user": ("hpc_user",),
    "project": ("project",),
    "cluster": ("cluster",),
    "subCluster": ("subcluster",),
    "jobName": ("job_name",),
    "submitTime": ("submit_time",),
    "startTime": ("start_time",),
    "duration": ("start_time", "duration", "job_state"),
    "walltime": ("walltime",),
    "requestedMemory": ("requested_memory",),
    "numNodes": ("num_nodes",),
    "numHWThreads": ("num_hwthreads",),
    "numAcc": ("num_acc",),
    "energy": ("energy",),
    "SMT": ("smt",),
    "shared": ("shared",),
    "partition": ("cluster_partition",),
    "arrayJobId": ("array_job_id",),
    "monitoringStatus": ("monitoring_status",),
    "state": ("job_state",),
    "resources": ("resources",),
    "concurrentJobs": CONCURRENT_COLUMNS,
    "footprint": ("footprint",),
    "energyFootprint": ("energy_footprint",),
    "metaData": ("meta_data",),
    "advice": ("advice",),
    "mutedAdvice": ("advice",),
    "userData": ("hpc_user",),
}


TABLES: Tables = {
    "Job": {
        "id": attrgetter("row.id"),
        "jobId": attrgetter("row.job_id"),
        "user": attrgetter("row.hpc_user"),
        "project": attrgetter("row.project"),
        "cluster": attrgetter("row.cluster"),
        "subCluster": attrgetter("row.subcluster"),
        "jobName": attrgetter("row.job_name"),
        "submitTime": lambda view: time_text(view.row.submit_time) if view.row.submit_time else None,
        "startTime": lambda view: time_text(view.row.start_time),
        "duration": lambda view: shown_duration(view.row, view.now),
        "walltime": attrgetter("row.walltime"),
        "requestedMemory": attrgetter("row.requested_memory"),
        "numNodes": attrgetter("row.num_nodes"),
        "numHWThreads": lambda view: view.row.num_hwthreads or 0,
        "numAcc": lambda view: view.row.num_acc or 0,
        "energy": attrgetter("row.energy"),
        "SMT": attrgetter("row.smt"),
        "shared": attrgetter("row.shared"),
        "partition": lambda view: view.row.cluster_partition or "",
        "arrayJobId": lambda view: view.row.array_job_id or 0,
        "monitoringStatus": attrgetter("row.monitoring_status"),
        "state": attrgetter("row.job_state"),
        "tags": attrgetter("tags"),
        "resources": _resources,
        "concurrentJobs": _concurrent,
        "footprint": _footprint,
        "energyFootprint": _energy_footprint,
        "metaData": _metadata,
        "advice": _advice,
        "mutedAdvice": _muted_advice,
        "userData": attrgetter("owner"),
    },
    "JobLink": {"id": lambda link: str(link.id), "jobId": attrgetter("job_id")},
    "JobLinkResultList": {"listQuery": _list_query, "items": lambda links: links[1], "count": lambda links: len(links[1])},
    "JobResultList": {
        "items": attrgetter("items"),
        "offset": _nothing,
        "limit": _nothing,
        "count": attrgetter("count"),
        "hasNextPage": attrgetter("has_next_page"),
    },
    "FootprintValue": {
        "name": itemgetter(0),
        "stat": itemgetter(1),
        "value": itemgetter(2),
    },
    "Advice": {
        "rule": itemgetter("rule"),
        "severity": itemgetter("severity"),
        "text": itemgetter("text"),
        "action": lambda advice: advice.get("action", ""),
        "metric": absent_as_none("metric"),
        "link": absent_as_none("link"),
        "since": lambda advice: time_text(advice["since"]) if "since" in advice else None,
    },
    "EnergyFootprintValue": {"hardware": itemgetter(0), "metric": itemgetter(1), "value": itemgetter(2)},
    "Resource": {
        "hostname": itemgetter("hostname"),
        "hwthreads": absent_as_none("hwthreads"),
        "accelerators": absent_as_none("accelerators"),
        "configuration": lambda resource: resource.get("configuration") or "",
    },
}
