"""What filters, orders and statistics mean, in plain Python over dicts of columns: the measure for every engine."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from services.gateway.people.identity import User
from services.gateway.reading.model import JobFilter, Order, Range, Slice, TextMatch
from services.gateway.reading.statistics import StatisticsGroup, StatisticsWanted

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
    for name, column in _TEXTS.items():
        match = getattr(wanted, name)
        stored = job[column]
        if match is not None and not (match.operator == "neq" if stored is None else matches(match, stored)):
            return False
    for name in _RANGES:
        limits = getattr(wanted, name)
        if limits is not None and not is_within(limits, _value(job, name, wanted.duration_at)):
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
            wanted.tags is None or any(tag in wanted.tags and scope in scopes for tag, scope in job["tags"]),
            wanted.has_tags is None or bool(job["tags"]) == wanted.has_tags,
        )
    )


def chosen(jobs: Sequence[Job], user: User, where: Sequence[JobFilter]) -> list[Job]:
    return [job for job in jobs if is_visible(user, job) and all(meets(user, wanted, job) for wanted in where)]


def _value(job: Job, column: str, duration_at: int | None) -> Any:
    return job[column] if column != "duration" or duration_at is None else _live(job, duration_at)


def ordered(jobs: Sequence[Job], order: Order, piece: Slice) -> list[int]:
    def key(job: Job) -> tuple[bool, Any, int]:
        value = footprint(job, order.column) if order.is_footprint else _value(job, order.column, order.duration_at)
        if isinstance(value, str):
            value = value.encode()
        return (value is not None, 0 if value is None else value, job["id"])

    ids = [job["id"] for job in sorted(jobs, key=key, reverse=order.is_descending)]
    return ids[piece.first :] if piece.most is None else ids[piece.first : piece.first + piece.most]


# statistics

_GROUPS = {"user": "hpc_user", "project": "project", "cluster": "cluster", "subcluster": "subcluster"}


def statistics(jobs: Sequence[Job], wanted: StatisticsWanted, now: int) -> list[StatisticsGroup]:
    if wanted.group_by is None:
        return [_group("", jobs, wanted, now)]
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job[_GROUPS[wanted.group_by]], []).append(job)
    names = sorted(groups, key=str.encode)
    if wanted.sort_by is not None:
        names.sort(key=lambda name: _sums(groups[name], wanted, now)[str(wanted.sort_by)], reverse=True)
    names = names[wanted.slice.first :]
    return [_group(name, groups[name], wanted, now) for name in names[: wanted.slice.most]]


def _live(job: Job, now: int) -> int:
    return max(0, now - job["start_time"]) if job["job_state"] == "running" else int(job["duration"])


def _sums(jobs: Sequence[Job], wanted: StatisticsWanted, now: int) -> dict[str, int]:
    def sum_of(column: str) -> int:
        return sum(job[column] or 0 for job in jobs)

    def time_of(column: str) -> int:
        return sum(_live(job, now) * (job[column] or 0) for job in jobs)

    return {
        "total_jobs": len(jobs),
        "total_users": len({job["hpc_user"] for job in jobs}),
        "running_jobs": sum(job["job_state"] == "running" for job in jobs),
        "short_jobs": sum(job["job_state"] != "running" and job["duration"] < wanted.short_job_s for job in jobs),
        "total_walltime": sum(_live(job, now) for job in jobs),
        "total_nodes": sum_of("num_nodes"),
        "total_node_hours": time_of("num_nodes"),
        "total_cores": sum_of("num_hwthreads"),
        "total_core_hours": time_of("num_hwthreads"),
        "total_accs": sum_of("num_acc"),
        "total_acc_hours": time_of("num_acc"),
    }


def _group(key: str, jobs: Sequence[Job], wanted: StatisticsWanted, now: int) -> StatisticsGroup:
    sums = _sums(jobs, wanted, now)
    in_hours = {name for name in sums if name.endswith("_hours")} | {"total_walltime"}
    group = StatisticsGroup(key, {name: sums[name] // (3600 if name in in_hours else 1) for name in wanted.totals})
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
