"""Totals of jobs over time: one statement for the span, one for the largest groups, one for all buckets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, func, select, text

from services.gateway.errors import bad_request
from services.gateway.people.identity import User
from services.gateway.reading.buckets import Bin, bounds, bucket
from services.gateway.reading.filters import conditions
from services.gateway.reading.model import JobFilter
from services.gateway.reading.routing import Steps
from services.gateway.reading.source import Source
from services.gateway.reading.statistics import GroupBy, group_of
from services.gateway.reading.totals import PLAIN, Measures, exact, sums
from shared.database.functions import bytewise

UTC = ZoneInfo("UTC")
_BUCKET = text("bucket")
MAX_ROWS = 20_000  # buckets times groups


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """``totals`` and ``sort_by`` are names in ``totals.TOTALS``. ``top``: the groups with the largest total ``sort_by``."""

    bin: Bin
    zone: ZoneInfo = UTC
    totals: frozenset[str] = frozenset()
    group_by: GroupBy | None = None
    sort_by: str = "total_jobs"
    top: int = 10
    measures: Measures = PLAIN


@dataclass(frozen=True, slots=True)
class TimelineBin:
    """The jobs that started from ``start`` to before ``end``, Unix seconds. ``key`` is empty when all jobs are one group."""

    start: int
    end: int
    key: str = ""
    totals: dict[str, float] = field(default_factory=dict)


class Timeline:
    """The statements of one query, and the result built from their rows."""

    def __init__(self, user: User, where: Sequence[JobFilter], wanted: TimelineQuery, now: int) -> None:
        self._user = user
        self._where = where
        self._wanted = wanted
        self._now = now
        self._names = sorted(wanted.totals)

    def answer(self, source: Source) -> Steps[list[TimelineBin]]:
        """In the order of time, then of the groups. Without groups also the empty buckets between the first and the last job.

        Raises RequestError (400) when there are too many buckets.
        """
        wanted = self._wanted
        ((first, last),) = yield self._span(source)
        if first is None:
            return []
        edges = bounds(first, last, wanted.bin, wanted.zone)
        if wanted.group_by is None:
            rows = yield self._buckets(source, edges)
            found = {(place, ""): values for place, *values in rows}
            keys = [(place, "") for place in range(len(edges) - 1)]
        else:
            if (len(edges) - 1) * wanted.top > MAX_ROWS:
                raise bad_request(f"top: {len(edges) - 1} buckets of {wanted.top} groups are more than {MAX_ROWS}")
            names = [name for (name,) in (yield self._groups(source))]
            rows = yield self._buckets(source, edges, names)
            found = {(place, name): values for place, name, *values in rows}
            keys = [(place, name) for place in range(len(edges) - 1) for name in names if (place, name) in found]
        return [TimelineBin(edges[place], edges[place + 1], name, self._totals(found.get((place, name), ()))) for place, name in keys]

    def _condition(self, source: Source) -> ColumnElement[bool]:
        return conditions(self._user, self._where, source)

    def _span(self, source: Source) -> Select[Any]:
        start = source.job.c.start_time
        return select(func.min(start), func.max(start)).where(self._condition(source))

    def _groups(self, source: Source) -> Select[Any]:
        assert self._wanted.group_by is not None
        group = group_of(self._wanted.group_by, source)
        size = sums(source, self._wanted.measures, self._now)[self._wanted.sort_by]
        statement = select(group).where(self._condition(source)).group_by(group)
        return statement.order_by(func.coalesce(size, 0).desc(), bytewise(group)).limit(self._wanted.top)

    def _buckets(self, source: Source, edges: Sequence[int], names: Sequence[str] = ()) -> Select[Any]:
        number = bucket(source.job.c.start_time, edges).label(_BUCKET.text)  # grouped by its name: the text is long
        available = sums(source, self._wanted.measures, self._now)
        chosen = [available[name] for name in self._names]
        condition = self._condition(source)
        if self._wanted.group_by is None:
            return select(number, *chosen).where(condition).group_by(_BUCKET)
        group = group_of(self._wanted.group_by, source)
        return select(number, group, *chosen).where(condition, group.in_(names)).group_by(_BUCKET, group)

    def _totals(self, values: Sequence[Any]) -> dict[str, float]:
        given = values or [0] * len(self._names)
        return {name: exact(name, value) for name, value in zip(self._names, given, strict=True)}
