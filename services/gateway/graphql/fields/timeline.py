"""Totals of jobs over time."""

from collections.abc import Callable
from operator import attrgetter
from zoneinfo import ZoneInfo

from services.gateway.errors import bad_request
from services.gateway.graphql.arguments import job_filters
from services.gateway.graphql.fields.jobs import time_text
from services.gateway.graphql.fields.statistics import GROUPS, SORT, TOTALS, measures
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Tables
from services.gateway.reading.buckets import Bin
from services.gateway.reading.timeline import TimelineBin, TimelineQuery

MAX_TOP = 100
_BINS: dict[str, Bin] = {"HOUR": "hour", "DAY": "day", "MONTH": "month"}


@answers(QUERY, "jobsTimeline")
async def jobs_timeline(ask: Ask) -> list[TimelineBin]:
    """Raises RequestError (400) for an unknown zone, or too many buckets or groups."""
    assert ask.shape is not None
    now = ask.gateway.clock()
    if not 1 <= ask["top"] <= MAX_TOP:
        raise bad_request(f"top: {ask['top']} is not from 1 to {MAX_TOP}")
    totals = frozenset(TOTALS[name] for name in ask.shape.names & TOTALS.keys())
    sort_by = SORT[ask["sortBy"]]
    wanted = TimelineQuery(
        bin=_BINS[ask["bin"]],
        zone=zone_of(ask["zone"]),
        totals=totals,
        group_by=GROUPS[ask["groupBy"]] if ask["groupBy"] else None,
        sort_by=sort_by,
        top=ask["top"],
        measures=measures(ask, *totals, sort_by),
    )
    return await ask.gateway.jobs.timeline(ask.user, job_filters(ask["filter"], now), wanted, int(now))


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as e:
        raise bad_request(f"zone: {name[:60]!r} is not a time zone, such as Europe/Berlin") from e


def _total(name: str) -> Callable[[TimelineBin], float]:
    return lambda found: found.totals[name]


TABLES: Tables = {
    "JobsTimelineBin": {
        "from": lambda found: time_text(found.start),
        "to": lambda found: time_text(found.end),
        "id": attrgetter("key"),
        **{name: _total(total) for name, total in TOTALS.items()},
    }
}
