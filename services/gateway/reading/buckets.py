"""Hours, days and months of a time zone, as the bounds of their buckets and as an SQL expression."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from services.gateway.errors import bad_request
from services.gateway.reading.totals import HOUR_S

Bin = Literal["hour", "day", "month"]
MAX_BUCKETS = 1000  # hours of 41 days, days of 32 months, months of 83 years
_ABOUT_S = {"hour": HOUR_S, "day": 24 * HOUR_S, "month": 30 * 24 * HOUR_S}


def bounds(first: int, last: int, bin_: Bin, zone: ZoneInfo) -> list[int]:
    """The start of each bucket from the one of ``first`` to the one of ``last``, and the end of that; Unix seconds, rising.

    A day lasts from midnight to midnight of the zone, so that it may have 23 or 25 hours. Raises RequestError (400) for more than
    MAX_BUCKETS.
    """
    if (last - first) // _ABOUT_S[bin_] > 2 * MAX_BUCKETS:  # so far beyond that they are not even counted
        raise _too_many(bin_)
    try:
        found = _hours(first, last, zone) if bin_ == "hour" else _days(first, last, bin_, zone)
    except (OverflowError, ValueError, OSError) as e:
        raise bad_request(f"bin: jobs started from {first} to {last}, which is outside of the calendar") from e
    if len(found) > MAX_BUCKETS + 1:
        raise _too_many(bin_)
    return found


def _too_many(bin_: Bin) -> Exception:
    return bad_request(f"bin: more than {MAX_BUCKETS} buckets of one {bin_}; choose a larger bin, or fewer jobs by startTime")


def _hours(first: int, last: int, zone: ZoneInfo) -> list[int]:
    offset = datetime.fromtimestamp(first, zone).utcoffset() or timedelta()
    start = first - (first + int(offset.total_seconds())) % HOUR_S
    return list(range(start, last + HOUR_S + 1, HOUR_S))


def _days(first: int, last: int, bin_: Bin, zone: ZoneInfo) -> list[int]:
    day = datetime.fromtimestamp(first, zone).date()
    if bin_ == "month":
        day = day.replace(day=1)
    found = [_midnight(day, zone)]
    while found[-1] <= last:
        day = day + timedelta(days=1) if bin_ == "day" else _next_month(day)
        if (stamp := _midnight(day, zone)) > found[-1]:  # a zone may leave out a day
            found.append(stamp)
    return found


def _midnight(day: date, zone: ZoneInfo) -> int:
    """Where the clock jumps over midnight, the moment of the jump."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


class bucket(GenericFunction[int]):  # noqa: N801
    """The number of the bucket, from 0, of a whole number that lies within ``edges``: a search tree of comparisons.

    Not cached as a statement, since the bounds are part of the text.
    """

    type = Integer()
    inherit_cache = False

    def __init__(self, value: ColumnElement[int], edges: Sequence[int]) -> None:
        super().__init__(value)
        self.edges = edges


@compiles(bucket)
def _as_tree(element: bucket, compiler: SQLCompiler, **options: Any) -> str:
    name = compiler.process(element.clauses, **options)

    def tree(first: int, last: int) -> str:
        if first == last:
            return str(first)
        middle = (first + last + 1) // 2
        return f"CASE WHEN {name} < {element.edges[middle]:d} THEN {tree(first, middle - 1)} ELSE {tree(middle, last)} END"

    return tree(0, len(element.edges) - 2)
