"""Jobs by one or two of their values: how many are in each cell of a grid, and what they used."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import (
    Case,
    ColumnElement,
    Double,
    Label,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    text,
)

from services.gateway.errors import bad_request
from services.gateway.people.identity import User
from services.gateway.reading.filters import conditions, footprint
from services.gateway.reading.model import JobFilter
from services.gateway.reading.routing import Steps
from services.gateway.reading.source import Source
from services.gateway.reading.totals import HOUR_S, sane_duration
from shared.database.functions import total

COLUMNS = {"numNodes": "num_nodes", "numHWThreads": "num_hwthreads", "numAcc": "num_acc", "energy": "energy"}
DURATION = "duration"
_SMALLEST, _LARGEST = 1e-100, 1e100  # of two numbers that are divided: PostgreSQL refuses quotients that a double cannot hold
_DIGITS = 9  # of edges, so that they are short in addresses
_OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Axis:
    """``value`` is a footprint key, ``duration`` (seconds) or a name in ``COLUMNS``; ``per`` is what it is divided by.

    Without ``high`` the axis ends at the largest value. Bins of a logarithmic axis have equal ratios.
    """

    value: str
    bins: int
    low: float = 0.0
    high: float | None = None
    per: str | None = None
    is_logarithmic: bool = False

    def edges(self, largest: float | None) -> list[float]:
        """The bounds of the bins, rising. Raises RequestError (400)."""
        high = largest if self.high is None else self.high
        if high is None or high <= self.low:
            high = self.low + max(1.0, abs(self.low))  # no job has a larger value
        if self.is_logarithmic:
            found = [self.low * math.pow(high / self.low, place / self.bins) for place in range(self.bins)]
        else:
            found = [self.low + (high - self.low) * (place / self.bins) for place in range(self.bins)]
        edges = [float(f"{edge:.{_DIGITS}g}") for edge in found] + [high]
        if any(following <= edge for edge, following in pairwise(edges)):
            raise bad_request("from, to: too close to each other for so many bins")
        return edges


class Cell(NamedTuple):
    """Places of the bins, from 0; ``y`` is 0 with one axis."""

    x: int
    y: int
    jobs: int
    node_hours: float
    core_hours: float
    acc_hours: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """``edges`` has a list for each axis. A bin includes its lower edge, and the last one its upper edge too.

    ``cells`` are those with jobs. ``outside`` counts the jobs that have the values, but beyond the edges.
    """

    edges: Sequence[Sequence[float]]
    cells: Sequence[Cell]
    outside: int


class DistributionQuestion:
    """The statements of one query, and the result built from their rows. There are one or two axes."""

    def __init__(self, user: User, where: Sequence[JobFilter], axes: Sequence[Axis], now: int) -> None:
        self._user = user
        self._where = where
        self._axes = axes
        self._now = now

    def answer(self, source: Source) -> Steps[Distribution]:
        """Raises RequestError (400)."""
        jobs = self._jobs(source, [self._value(axis, source) for axis in self._axes])
        limits: Sequence[float | None] = [None] * len(self._axes)
        if any(axis.high is None for axis in self._axes):
            ((*limits,),) = yield select(*(func.max(jobs.c[_name(place)]) for place in range(len(self._axes))))
        edges = [axis.edges(limit) for axis, limit in zip(self._axes, limits, strict=True)]
        rows = yield self._cells(jobs, edges)
        return _distribution(edges, rows)

    def _jobs(self, source: Source, values: Sequence[ColumnElement[float]]) -> Subquery:
        """One row for each job with its values and its seconds on nodes, cores and accelerators."""
        job, duration = source.job.c, sane_duration(source, self._now)
        parts = {"nodes": job.num_nodes, "cores": job.num_hwthreads, "accs": job.num_acc}
        named: list[Label[Any]] = [value.label(_name(place)) for place, value in enumerate(values)]
        seconds = [(duration * part).label(name) for name, part in parts.items()]
        return select(*named, *seconds).select_from(source.job).where(conditions(self._user, self._where, source)).subquery("found")

    def _cells(self, jobs: Subquery, edges: Sequence[Sequence[float]]) -> Select[Any]:
        places = [_place(jobs.c[_name(place)], found).label(f"bin_{place}") for place, found in enumerate(edges)]
        has_values = and_(*(jobs.c[_name(place)].is_not(None) for place in range(len(edges))))
        sums = [total(jobs.c[name]) for name in ("nodes", "cores", "accs")]
        # Grouped by the names: the texts are long, and bound values would not be recognised as the same expressions.
        columns: list[ColumnElement[Any]] = [*places, func.count(), *sums]
        return select(*columns).where(has_values).group_by(*(text(place.name) for place in places))

    def _value(self, axis: Axis, source: Source) -> ColumnElement[float]:
        """NULL for a job without the value. A quotient needs two numbers above 0."""
        value = self._number(axis.value, source)
        if axis.per is None:
            return value
        other = self._number(axis.per, source)
        are_sane = and_(*(number.between(literal(_SMALLEST, Double), literal(_LARGEST, Double)) for number in (value, other)))
        return case((are_sane, value / other))

    def _number(self, name: str, source: Source) -> ColumnElement[float]:
        if name == DURATION:
            return cast(sane_duration(source, self._now), Double)
        if name in COLUMNS:
            return cast(source.job.c[COLUMNS[name]], Double)
        found = footprint(name, source)
        return cast(null() if found is None else found, Double)


def _name(place: int) -> str:
    return f"value_{place}"


def _place(value: ColumnElement[float], edges: Sequence[float]) -> Case[int]:
    """The number of the bin, as a search tree of comparisons, which every engine computes alike."""

    def tree(first: int, last: int) -> ColumnElement[int]:
        if first == last:
            return literal_column(str(first))
        middle = (first + last + 1) // 2
        return case((value < literal(edges[middle], Double), tree(first, middle - 1)), else_=tree(middle, last))

    is_inside = and_(value >= literal(edges[0], Double), value <= literal(edges[-1], Double))
    return case((is_inside, tree(0, len(edges) - 2)), else_=literal_column(str(_OUTSIDE)))


def _distribution(edges: Sequence[Sequence[float]], rows: Any) -> Distribution:
    cells, outside = [], 0
    for *places, jobs, nodes, cores, accs in rows:
        if _OUTSIDE in places:
            outside += jobs
        else:
            x, y = (*places, 0)[:2]
            cells.append(Cell(x, y, jobs, *(int(seconds or 0) / HOUR_S for seconds in (nodes, cores, accs))))
    return Distribution(edges, sorted(cells), outside)
