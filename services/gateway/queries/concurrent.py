"""Jobs that shared a host with another for a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, Select, false, or_, select

from services.gateway.identity import User
from services.gateway.queries.filters import is_running, visible_to
from services.gateway.queries.questions import Rows
from services.gateway.queries.source import DATABASE, Source, has_word
from shared.domain.values import JobState

CONCURRENT_COLUMNS = ("id", "job_id", "cluster", "start_time", "duration", "job_state", "shared", "hosts")
LEAST_SHARED_S = 600  # shorter jobs are not looked at
LEAST_OVERLAP_S = 200
PERIODS_AT_ONCE = 25


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
    def of(cls, row: "Row[Any] | OtherJob", now: int) -> "Period":
        is_running = row.job_state == JobState.RUNNING
        end = now if is_running else row.start_time + row.duration
        return cls(row.id, row.cluster, row.start_time, end, is_running, row.shared == "none", frozenset(row.hosts.split()))

    @property
    def may_share(self) -> bool:
        return not self.is_exclusive and self.end - self.start > LEAST_SHARED_S

    def overlaps(self, other: "Period") -> bool:
        """Another job, which is on one of the hosts; a running one may have begun a moment ago."""
        return (
            other.id != self.id
            and other.cluster == self.cluster
            and other.start < self.end - LEAST_OVERLAP_S
            and (other.is_running or other.end > self.start + LEAST_OVERLAP_S)
            and not self.hosts.isdisjoint(other.hosts)
        )


def note_overlaps(found: dict[int, list[tuple[int, int]]], periods: Sequence[Period], others: Rows, now: int) -> None:
    """``others`` are rows of ``overlapping``."""
    for values in others:
        row = OtherJob(*values)
        other = Period.of(row, now)
        for period in periods:
            if period.overlaps(other):
                found[period.id].append((row.id, row.job_id))


def overlapping(user: User, periods: Sequence[Period], source: Source = DATABASE) -> Select[Any]:
    """Jobs that overlap one of some."""
    other = source.job.c
    parts = [
        (other.cluster == period.cluster)
        & (other.start_time < period.end - LEAST_OVERLAP_S)
        & ((other.start_time + other.duration > period.start + LEAST_OVERLAP_S) | is_running(source))
        & has_word(other.hosts, orjson.dumps(sorted(period.hosts)).decode())
        for period in periods
        if period.hosts
    ]
    columns = [other[name] for name in CONCURRENT_COLUMNS]
    return select(*columns).where(or_(false(), *parts), visible_to(user, source)).order_by(other.start_time, other.id)
