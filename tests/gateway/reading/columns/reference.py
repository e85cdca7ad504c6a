"""Reference implementation of filters, orders and statistics in plain Python, over dicts of columns."""

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from services.gateway.people.identity import User
from services.gateway.reading.distribution import Axis, Cell, Distribution
from services.gateway.reading.model import JobFilter, Order, Overlap, Range, Slice, TextMatch
from services.gateway.reading.statistics import GroupBy, StatisticsGroup, StatisticsQuery
from services.gateway.reading.timeline import TimelineBin, TimelineQuery
from services.gateway.reading.totals import FAILED, Measures, Peaks

Job = dict[str, Any]  # columns, and ``tags``: pairs of id and scope
_TEXTS = {
    "user": "hpc_user",
    "project": "project",
    "job_name": "job_name",
    "cluster": "cluster",
    "subcluster": "subcluster",
    "partition": "cluster_partition",
}
_RANGES = ("start_time", "duration", "energy", "num_nodes", "num_hwthreads", "num_acc")


def small(text: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def matches(match: TextMatch, text: str) -> bool:
    value = match.values[0] if match.values else ""
    tests: dict[str, Callable[[], bool]] = {
        "eq": lambda: text == value,
        "neq": lambda: text != value,
        "in": lambda: text in match.values,
        "contains": lambda: small(value) in small(text),
        "starts_with": lambda: small(text).startswith(small(value)),
        "ends_with": lambda: small(text).endswith(small(value)),
    }
    return tests[match.operator]()


def is_within(limits: Range, number: float | None) -> bool:
    if limits == Range():
        return True
    if number is None:
        return False
    return (limits.least is None or number >= limits.least) and (limits.most is None or number <= limits.most)


def footprint(job: Job, key: str) -> float | None:
    return (json.loads(job["footprint"] or "null") or {}).get(key)


def is_visible(user: User, job: Job) -> bool:
    if user.roles & {"admin", "support"} or user.roles == {"api"}:
        return True
    return job["hpc_user"] == user.name or ("manager" in user.roles and job["project"] in user.projects)


def meets(user: User, wanted: JobFilter, job: Job) -> bool:
    hosts = job["hosts"].split()
    scopes = {"global", user.name} | ({"admin"} if user.roles & {"admin", "support"} else set())
    tags = {tag for tag, scope in job["tags"] if scope in scopes}
    for name, column in _TEXTS.items():
        match = getattr(wanted, name)
        stored = job[column]
        if match is not None and not (match.operator == "neq" if stored is None else matches(match, stored)):
            return False
    for name in _RANGES:
        limits = getattr(wanted, name)
        if limits is not None and not is_within(limits, _value(job, name, wanted.duration_at)):
            return False
    if wanted.stop_time is not None and not (
        job["job_state"] != "running" and is_within(wanted.stop_time, job["start_time"] + job["duration"])
    ):
        return False
    if wanted.overlaps is not None and not _overlaps(wanted.overlaps, job):
        return False
    if wanted.job_id is not None:
        match = wanted.job_id
        if match.operator in ("eq", "neq", "in"):
            numbers = [int(value) for value in match.values if value.isdigit()]
            if (job["job_id"] in numbers) == (match.operator == "neq"):
                return False
        elif not matches(match, str(job["job_id"])):
            return False
    if wanted.node is not None:
        if wanted.node.operator == "neq":
            if wanted.node.values[0] in hosts:
                return False
        elif not any(matches(wanted.node, host) for host in hosts):
            return False
    for item in wanted.metric_stats:
        value = footprint(job, item.name)
        if value is None or not is_within(item.range, value):
            return False
    return all(
        (
            wanted.ids is None or job["id"] in wanted.ids,
            wanted.array_job_id is None or job["array_job_id"] == wanted.array_job_id,
            wanted.states is None or job["job_state"] in wanted.states,
            wanted.shared is None or job["shared"] == wanted.shared,
            wanted.is_interactive is None or (job["job_name"] == "interactive") == wanted.is_interactive,
            wanted.tags is None or not tags.isdisjoint(wanted.tags),
            tags.issuperset(wanted.all_tags),
            tags.isdisjoint(wanted.no_tags),
            wanted.has_tags is None or bool(job["tags"]) == wanted.has_tags,
        )
    )


def chosen(jobs: Sequence[Job], user: User, where: Sequence[JobFilter]) -> list[Job]:
    return [job for job in jobs if is_visible(user, job) and all(meets(user, wanted, job) for wanted in where)]


def _overlaps(wanted: Overlap, job: Job) -> bool:
    end = max(wanted.now, job["start_time"]) if job["job_state"] == "running" else job["start_time"] + job["duration"]
    return (wanted.end is None or job["start_time"] < wanted.end) and (wanted.start is None or end > wanted.start)


def _value(job: Job, column: str, duration_at: int | None) -> Any:
    return job[column] if column != "duration" or duration_at is None else _live(job, duration_at)


def ordered(jobs: Sequence[Job], order: Order, piece: Slice) -> list[int]:
    def key(job: Job) -> tuple[bool, Any, int]:
        value = footprint(job, order.column) if order.is_footprint else _value(job, order.column, order.duration_at)
        if isinstance(value, str):
            value = value.encode()
        return (value is not None, 0 if value is None else value, job["id"])

    ids = [job["id"] for job in sorted(jobs, key=key, reverse=order.is_descending)]
    return ids[piece.first :] if piece.limit is None else ids[piece.first : piece.first + piece.limit]


# statistics

_GROUPS = {"user": "hpc_user", "partition": "cluster_partition", "state": "job_state"}
_IN_WHOLE_HOURS = {"total_walltime", "total_node_hours", "total_core_hours", "total_acc_hours"}


def _by_group(jobs: Sequence[Job], group_by: GroupBy) -> dict[str, list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job[_GROUPS.get(group_by, group_by)] or "", []).append(job)
    return groups


def statistics(jobs: Sequence[Job], wanted: StatisticsQuery, now: int) -> list[StatisticsGroup]:
    if wanted.group_by is None:
        return [_group("", jobs, wanted, now)]
    groups = _by_group(jobs, wanted.group_by)
    names = sorted(groups, key=str.encode)
    if wanted.sort_by is not None:
        names.sort(key=lambda name: _sums(groups[name], wanted.measures, now)[str(wanted.sort_by)], reverse=True)
    names = names[wanted.slice.first :]
    return [_group(name, groups[name], wanted, now) for name in names[: wanted.slice.limit]]


def _live(job: Job, now: int) -> int:
    return max(0, now - job["start_time"]) if job["job_state"] == "running" else int(job["duration"])


def _sums(jobs: Sequence[Job], measures: Measures, now: int) -> dict[str, int]:
    def sum_of(column: str) -> int:
        return sum(job[column] or 0 for job in jobs)

    def time_of(column: str) -> int:
        return sum(_live(job, now) * (job[column] or 0) for job in jobs)

    failed = [job for job in jobs if job["job_state"] in FAILED]
    waited = [job for job in jobs if 0 < (job["submit_time"] or 0) <= job["start_time"]]
    load = _measured([job for job in jobs if job["shared"] == "none"], measures.load)
    acc_load = _measured([job for job in jobs if (job["num_acc"] or 0) > 0], measures.acc_load)

    def measured(pairs: Sequence[tuple[Job, float]], column: str) -> int:
        return sum(_live(job, now) * (job[column] or 0) for job, _ in pairs)

    def idle(pairs: Sequence[tuple[Job, float]], column: str) -> int:
        return sum(0 if part >= 1 else math.floor((1.0 - part) * float(_live(job, now) * (job[column] or 0))) for job, part in pairs)

    return {
        "total_jobs": len(jobs),
        "total_users": len({job["hpc_user"] for job in jobs}),
        "running_jobs": sum(job["job_state"] == "running" for job in jobs),
        "short_jobs": sum(job["job_state"] != "running" and job["duration"] < measures.short_job_s for job in jobs),
        "total_walltime": sum(_live(job, now) for job in jobs),
        "total_nodes": sum_of("num_nodes"),
        "total_node_hours": time_of("num_nodes"),
        "total_cores": sum_of("num_hwthreads"),
        "total_core_hours": time_of("num_hwthreads"),
        "total_accs": sum_of("num_acc"),
        "total_acc_hours": time_of("num_acc"),
        "total_projects": len({job["project"] for job in jobs}),
        "failed_jobs": len(failed),
        "waited_jobs": len(waited),
        "total_wait_time": sum(job["start_time"] - job["submit_time"] for job in waited),
        "total_energy": sum(math.floor(job["energy"] * 1000.0) for job in jobs),
        "total_failed_core_hours": sum(_live(job, now) * (job["num_hwthreads"] or 0) for job in failed),
        "total_measured_core_hours": measured(load, "num_hwthreads"),
        "total_idle_core_hours": idle(load, "num_hwthreads"),
        "total_measured_acc_hours": measured(acc_load, "num_acc"),
        "total_idle_acc_hours": idle(acc_load, "num_acc"),
    }


def _measured(jobs: Sequence[Job], peaks: Peaks) -> list[tuple[Job, float]]:
    """Jobs with a footprint and a peak, and the quotient of both."""
    by_place = {(cluster, subcluster): peak for cluster, subcluster, peak in peaks.values}
    values = [(job, footprint(job, peaks.key), by_place.get((job["cluster"], job["subcluster"]))) for job in jobs]
    return [(job, value / peak) for job, value, peak in values if value is not None and peak is not None and value >= 0]


def _exact(name: str, value: int) -> float:
    in_hours = name.endswith("_hours") or name in {"total_walltime", "total_wait_time"}
    return value / 3600 if in_hours else value / 1000 if name == "total_energy" else value


def _group(key: str, jobs: Sequence[Job], wanted: StatisticsQuery, now: int) -> StatisticsGroup:
    sums = _sums(jobs, wanted.measures, now)
    group = StatisticsGroup(
        key, {name: sums[name] // 3600 if name in _IN_WHOLE_HOURS else _exact(name, sums[name]) for name in wanted.totals}
    )
    if wanted.duration is not None:
        group.duration = [0] * wanted.duration.bins
        for job in jobs:
            place = _live(job, now) // wanted.duration.width_s
            if place < wanted.duration.bins:
                group.duration[place] += 1
    for name in wanted.resources:
        values = [job[name] for job in jobs if job[name] is not None]
        group.resources[name] = [(value, values.count(value)) for value in sorted(set(values))]
    for histogram in wanted.metrics:
        counts = [0] * histogram.bins
        for job in jobs:
            value = footprint(job, histogram.key)
            if value is not None and histogram.peak > 0 and 0 <= value <= histogram.peak:
                counts[min(math.floor(value / histogram.peak * histogram.bins), histogram.bins - 1)] += 1
        group.metrics.append(counts)
    return group


def timeline(jobs: Sequence[Job], wanted: TimelineQuery, now: int) -> list[TimelineBin]:
    """Without the bounds of the number of buckets."""
    if not jobs:
        return []

    def start(stamp: float) -> int:
        moment = datetime.fromtimestamp(stamp, wanted.zone).replace(minute=0, second=0)
        moment = moment if wanted.bin == "hour" else moment.replace(hour=0, fold=0)
        return int((moment.replace(day=1) if wanted.bin == "month" else moment).timestamp())

    def following(begin: int) -> int:
        return begin + 3600 if wanted.bin == "hour" else start(begin + 86_400 * (1.1 if wanted.bin == "day" else 31.1))

    names = [""]
    if wanted.group_by is not None:
        whole = _by_group(jobs, wanted.group_by)
        names = sorted(whole, key=str.encode)
        names.sort(key=lambda name: _sums(whole[name], wanted.measures, now)[wanted.sort_by], reverse=True)
    found = []
    begin = start(min(job["start_time"] for job in jobs))
    while begin <= max(job["start_time"] for job in jobs):
        end = following(begin)
        inside = [job for job in jobs if begin <= job["start_time"] < end]
        groups = {"": inside} if wanted.group_by is None else _by_group(inside, wanted.group_by)
        for name in names[: wanted.top]:
            if name in groups:
                sums = _sums(groups[name], wanted.measures, now)
                found.append(TimelineBin(begin, end, name, {total: _exact(total, sums[total]) for total in wanted.totals}))
        begin = end
    return found


def distribution(jobs: Sequence[Job], axes: Sequence[Axis], now: int) -> Distribution:
    def number(job: Job, name: str) -> float | None:
        if name == "duration":
            return _live(job, now)
        column = {"numNodes": "num_nodes", "numHWThreads": "num_hwthreads", "numAcc": "num_acc", "energy": "energy"}.get(name)
        return footprint(job, name) if column is None else job[column]

    def value(job: Job, axis: Axis) -> float | None:
        found = number(job, axis.value)
        if axis.per is None or found is None:
            return found
        other = number(job, axis.per)
        return found / other if other is not None and all(1e-100 <= one <= 1e100 for one in (found, other)) else None

    values = [[value(job, axis) for job in jobs] for axis in axes]
    edges = [axis.edges(max((one for one in found if one is not None), default=None)) for axis, found in zip(axes, values, strict=True)]
    cells: dict[tuple[int, ...], list[Job]] = {}
    outside = 0
    for job, *found in zip(jobs, *values, strict=True):
        if None in found:
            continue
        places = [_place(one, bounds) for one, bounds in zip(found, edges, strict=True)]
        if -1 in places:
            outside += 1
        else:
            cells.setdefault((*places, 0)[:2], []).append(job)

    def hours(group: Sequence[Job], column: str) -> float:
        return sum(_live(job, now) * (job[column] or 0) for job in group) / 3600

    found_cells = [
        Cell(x, y, len(group), *(hours(group, column) for column in ("num_nodes", "num_hwthreads", "num_acc")))
        for (x, y), group in sorted(cells.items())
    ]
    return Distribution(edges, found_cells, outside)


def _place(value: float, edges: Sequence[float]) -> int:
    if not edges[0] <= value <= edges[-1]:
        return -1
    return min(bisect_right(edges, value), len(edges) - 1) - 1
