"""Jobs that ran on a host at the same time as another job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, false, or_, select

from services.gateway.people.identity import User
from services.gateway.reading.filters import is_running, visible_to
from services.gateway.reading.routing import Rows
from services.gateway.reading.source import DATABASE, Source
from shared.domain.values import JobState

CONCURRENT_COLUMNS = ("id", "job_id", "cluster", "start_time", "duration", "job_state", "shared", "hosts")
MIN_SHARED_S = 600  # shorter jobs are ignored
MIN_OVERLAP_S = 200
PERIODS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OtherJob:
    """``CONCURRENT_COLUMNS`` of a job."""

    id: int
    job_id: int
    cluster: str
    start_time: int
    duration: int
    job_state: str
    shared: str
    hosts: str


@dataclass(frozen=True, slots=True)
class Period:
    """When and where a job ran."""

    id: int
    cluster: str
    start: int
    end: int
    is_running: bool
    is_exclusive: bool
    hosts: frozenset[str]

    @classmethod
    def of(cls, row: Any, now: int) -> "Period":
        is_running = row.job_state == JobState.RUNNING
        end = now if is_running else row.start_time + row.duration
        return cls(row.id, row.cluster, row.start_time, end, is_running, row.shared == "none", frozenset(row.hosts.split()))

    @property
    def may_share(self) -> bool:
        return not self.is_exclusive and self.end - self.start > MIN_SHARED_S

    def overlaps(self, other: "Period") -> bool:
        """True if the other job shares a host and overlaps in time, except for ``MIN_OVERLAP_S`` at either end of this period."""
        return (
            other.id != self.id
            and other.cluster == self.cluster
            and other.start < self.end - MIN_OVERLAP_S
            and (other.is_running or other.end > self.start + MIN_OVERLAP_S)
            and not self.hosts.isdisjoint(other.hosts)
        )


def note_overlaps(found: dict[int, list[tuple[int, int]]], periods: Sequence[Period], others: Rows, now: int) -> None:
    """``others`` are rows of ``overlapping``."""
    by_host: dict[str, list[Period]] = {}
    for period in periods:
        for host in period.hosts:
            by_host.setdefault(host, []).append(period)
    for values in others:
        row = OtherJob(*values)
        other = Period.of(row, now)
        candidates = {period.id: period for host in other.hosts for period in by_host.get(host, ())}
        for period in candidates.values():
            if period.overlaps(other):
                found[period.id].append((row.id, row.job_id))


def overlapping(user: User, periods: Sequence[Period], source: Source = DATABASE) -> Select[Any]:
    """Jobs that ran on the cluster of a period and overlap with it. Hosts are compared afterwards, which is faster than in SQL.

    Ended jobs come first, then running ones, each by start time.
    """
    other = source.job.c
    parts = []
    for cluster in sorted({period.cluster for period in periods}):
        windows = [
            (other.start_time < end - MIN_OVERLAP_S) & ((other.start_time + other.duration > start + MIN_OVERLAP_S) | is_running(source))
            for start, end in _merged([(period.start, period.end) for period in periods if period.cluster == cluster])
        ]
        parts.append((other.cluster == cluster) & or_(false(), *windows))
    columns = [other[name] for name in CONCURRENT_COLUMNS]
    ended_first = case((is_running(source), 1), else_=0)
    return select(*columns).where(or_(false(), *parts), visible_to(user, source)).order_by(ended_first, other.start_time, other.id)


def _merged(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge overlapping windows."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
