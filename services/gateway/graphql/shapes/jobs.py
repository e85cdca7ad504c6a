"""Jobs, their tags and related data."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from services.gateway.graphql.shape import Failure, Tables, absent_as_none
from services.gateway.reading.concurrent import CONCURRENT_COLUMNS
from services.gateway.reading.jobs import StoredTag, shown_duration
from services.gateway.reading.people import Person

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobLink:
    id: int
    job_id: int


@dataclass(frozen=True, slots=True)
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
    "startTime": ("start_time",),
    "duration": ("start_time", "duration", "job_state"),
    "walltime": ("walltime",),
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
        "startTime": lambda view: time_text(view.row.start_time),
        "duration": lambda view: shown_duration(view.row, view.now),
        "walltime": attrgetter("row.walltime"),
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
    "EnergyFootprintValue": {"hardware": itemgetter(0), "metric": itemgetter(1), "value": itemgetter(2)},
    "Tag": {"id": attrgetter("id"), "type": attrgetter("type"), "name": attrgetter("name"), "scope": attrgetter("scope")},
    "Resource": {
        "hostname": itemgetter("hostname"),
        "hwthreads": absent_as_none("hwthreads"),
        "accelerators": absent_as_none("accelerators"),
        "configuration": lambda resource: resource.get("configuration") or "",
    },
    "User": {"username": attrgetter("username"), "name": attrgetter("name"), "email": attrgetter("email")},
    "Count": {"name": itemgetter(0), "count": itemgetter(1)},
}
