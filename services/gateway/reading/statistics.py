"""Job statistics: totals and histograms, overall or by group. One statement for the totals, one per histogram."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Text, and_, case, func, literal, literal_column, select

from services.gateway.people.identity import User
from services.gateway.reading.filters import conditions, cut, footprint
from services.gateway.reading.model import JobFilter, Slice
from services.gateway.reading.routing import Steps
from services.gateway.reading.source import Source
from services.gateway.reading.totals import HOUR_S, IN_WHOLE_HOURS, PLAIN, Measures, exact, sane_duration, sums
from shared.database.functions import bytewise, whole

GroupBy = Literal["user", "project", "cluster", "subcluster", "partition", "state"]
_GROUP_COLUMNS = {
    "user": "hpc_user",
    "project": "project",
    "cluster": "cluster",
    "subcluster": "subcluster",
    "partition": "cluster_partition",
    "state": "job_state",
}
RESOURCES = frozenset({"num_nodes", "num_hwthreads", "num_acc"})
ALL = Slice(limit=None)


@dataclass(frozen=True, slots=True)
class DurationBins:
    """Bin 0 counts durations from 0 to below ``width_s``. Jobs beyond the last bin are not counted."""

    bins: int
    width_s: int


@dataclass(frozen=True, slots=True)
class MetricHistogram:
    """``key`` is the footprint key. Values from 0 to ``peak`` are counted, ``peak`` itself in the last bin."""

    metric: str
    key: str
    peak: float
    bins: int

    def bounds(self) -> list[tuple[float, float]]:
        return list(pairwise(self.peak * number / self.bins for number in range(self.bins + 1)))


Histogram = DurationBins | MetricHistogram | str  # a str is the name of a resource


@dataclass(frozen=True, slots=True)
class StatisticsQuery:
    """``totals`` and ``sort_by`` are names in ``totals.TOTALS``, ``resources`` names in ``RESOURCES``.

    ``sort_by`` (largest first) and ``slice`` apply to groups; without ``sort_by`` groups are ordered by name.
    """

    totals: frozenset[str] = frozenset()
    group_by: GroupBy | None = None
    sort_by: str | None = None
    slice: Slice = ALL
    duration: DurationBins | None = None
    resources: frozenset[str] = frozenset()
    metrics: tuple[MetricHistogram, ...] = ()
    measures: Measures = PLAIN


@dataclass(slots=True)
class StatisticsGroup:
    """``key`` is empty when all jobs are one group. Histograms that are not selected are empty.

    ``duration``: jobs per bin. ``resources``: by name, (value, jobs) of every value that occurs, ascending. ``metrics``: jobs per
    bin, in the order of the query.
    """

    key: str = ""
    totals: dict[str, float] = field(default_factory=dict)
    duration: list[int] = field(default_factory=list)
    resources: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    metrics: list[list[int]] = field(default_factory=list)


def group_of(group_by: GroupBy, source: Source) -> ColumnElement[str]:
    """The key of a job's group; a job without a partition has the empty one."""
    column: ColumnElement[str] = source.job.c[_GROUP_COLUMNS[group_by]]
    # A bound value would not be recognised as the same expression in SELECT and GROUP BY.
    return func.coalesce(column, literal_column("''")) if column.nullable else column


class Statistics:
    """The statements of one query, and the result built from their rows."""

    def __init__(self, user: User, where: Sequence[JobFilter], wanted: StatisticsQuery, now: int) -> None:
        self._user = user
        self._where = where
        self._wanted = wanted
        self._now = now
        self._names = sorted(wanted.totals)

    def answer(self, source: Source) -> Steps[list[StatisticsGroup]]:
        rows = yield self.totals(source)
        groups = {row[0]: self.group(row) for row in rows}
        if groups:
            for histogram, statement in self.histograms(source, groups):
                rows = yield statement
                self.fill(groups, histogram, rows)
        return list(groups.values())

    def totals(self, source: Source) -> Select[Any]:
        """The group and its totals: one row for each group in order, or a single row without groups."""
        wanted = self._wanted
        available = sums(source, wanted.measures, self._now)
        chosen = [available[name] for name in self._names] or [func.count()]
        condition = conditions(self._user, self._where, source)
        if wanted.group_by is None:
            return select(literal("", Text), *chosen).select_from(source.job).where(condition)
        group = self._group(source)
        statement = select(group, *chosen).where(condition).group_by(group)
        if wanted.sort_by is not None:
            statement = statement.order_by(func.coalesce(available[wanted.sort_by], 0).desc())
        return cut(statement.order_by(bytewise(group)), wanted.slice)

    def histograms(self, source: Source, groups: Collection[str]) -> Iterator[tuple[Histogram, Select[Any]]]:
        """Each selected histogram, with a statement for group, value or bin, and number of jobs."""
        wanted, job = self._wanted, source.job.c
        if wanted.duration is not None:
            duration = sane_duration(source, self._now)
            is_covered = and_(duration >= 0, duration < wanted.duration.bins * wanted.duration.width_s)
            yield wanted.duration, self._histogram(source, groups, duration // wanted.duration.width_s, is_covered)
        for name in sorted(wanted.resources):
            yield name, self._histogram(source, groups, job[name], job[name].is_not(None))
        for histogram in dict.fromkeys(wanted.metrics):
            value = footprint(histogram.key, source)
            if value is not None and histogram.peak > 0:
                last = histogram.bins - 1
                exact: ColumnElement[int] = whole(value / histogram.peak * histogram.bins)
                place = case((exact > last, last), else_=exact)
                yield histogram, self._histogram(source, groups, place, and_(value >= 0, value <= histogram.peak))

    def _histogram(self, source: Source, groups: Collection[str], value: ColumnElement[Any], condition: ColumnElement[bool]) -> Select[Any]:
        value = value.label("value")
        where = and_(conditions(self._user, self._where, source), condition)
        if self._wanted.group_by is None:
            return select(literal("", Text), value, func.count()).select_from(source.job).where(where).group_by(value)
        group = self._group(source)
        if self._wanted.slice.limit is not None:
            where = and_(where, group.in_(sorted(groups)))
        return select(group, value, func.count()).where(where).group_by(group, value)

    def _group(self, source: Source) -> ColumnElement[str]:
        assert self._wanted.group_by is not None
        return group_of(self._wanted.group_by, source)

    # from rows to groups

    def group(self, row: Sequence[Any]) -> StatisticsGroup:
        wanted = self._wanted
        totals = {
            name: int(found or 0) // HOUR_S if name in IN_WHOLE_HOURS else exact(name, found)
            for name, found in zip(self._names, row[1:], strict=False)
        }
        return StatisticsGroup(
            key=row[0],
            totals=totals,
            duration=[0] * wanted.duration.bins if wanted.duration is not None else [],
            resources={name: [] for name in wanted.resources},
            metrics=[[0] * histogram.bins for histogram in wanted.metrics],
        )

    def fill(self, groups: Mapping[str, StatisticsGroup], histogram: Histogram, rows: Iterable[Sequence[Any]]) -> None:
        """Skips groups that are not requested or that appeared after the totals were read."""
        if isinstance(histogram, str):
            for key, value, jobs in rows:
                if key in groups:
                    groups[key].resources[histogram].append((value, jobs))
            for group in groups.values():
                group.resources[histogram].sort()
        elif isinstance(histogram, DurationBins):
            for key, value, jobs in rows:
                if key in groups:
                    groups[key].duration[value] = jobs
        else:
            places = [place for place, asked in enumerate(self._wanted.metrics) if asked == histogram]
            for key, value, jobs in rows:
                if key in groups:
                    for place in places:
                        groups[key].metrics[place][value] = jobs
