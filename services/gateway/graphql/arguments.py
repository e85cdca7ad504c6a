"""Convert GraphQL arguments into query parameters. All functions raise RequestError (400) naming the argument."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.gateway.errors import bad_request
from services.gateway.frame.query import integer
from services.gateway.reading.filters import ORDER_COLUMNS
from services.gateway.reading.model import JobFilter, MetricRange, Operator, Order, Overlap, Range, Slice, TextMatch
from services.gateway.reading.source import FOOTPRINT_KEY
from shared.domain.values import INT64_MAX, JOB_STATES

Json = Mapping[str, Any]

_OPERATORS: tuple[tuple[str, Operator], ...] = (
    ("eq", "eq"),
    ("neq", "neq"),
    ("startsWith", "starts_with"),
    ("endsWith", "ends_with"),
    ("contains", "contains"),
)
_SPANS_S = {"last6h": 6 * 3600, "last24h": 24 * 3600, "last7d": 7 * 86400, "last30d": 30 * 86400}
_ZERO_TIME = -62_135_596_800  # an empty text stands for Go's zero time, the first second of year 1

# Accepted spellings other than the column's name and its camelCase.
_ORDER_NAMES = {
    "numHWThreads": "num_hwthreads",
    "numHwthreads": "num_hwthreads",
    "subCluster": "subcluster",
    "user": "hpc_user",
    "partition": "cluster_partition",
    "state": "job_state",
    "SMT": "smt",
    "numAccelerators": "num_acc",
}

DEFAULT_ITEMS = 50
MAX_POINTS = 10_000


def numeric_id(text: str, name: str) -> int:
    try:
        return integer(text)
    except ValueError as e:
        raise bad_request(f"{name}: {e}") from e


def unix_seconds(text: str, name: str) -> int:
    """Parse RFC 3339, or ``YYYY-MM-DD hh:mm:ss`` in UTC. Fractions of a second are truncated."""
    if not text:
        return _ZERO_TIME
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and "T" not in text and len(text) == 19:
            moment = moment.replace(tzinfo=UTC)
        if moment.tzinfo is None or len(text) < 19:
            raise ValueError("no zone")
        return math.floor(moment.timestamp())
    except (ValueError, OverflowError) as e:
        raise bad_request(f"{name}: {text[:60]!r} is not an RFC 3339 time") from e


def text_match(given: Json | None) -> TextMatch | None:
    if given is None:
        return None
    for name, operator in _OPERATORS:
        if given.get(name) is not None:
            return TextMatch(operator, (given[name],))
    return TextMatch("in", tuple(given["in"])) if given.get("in") is not None else None


def _range(given: Json | None) -> Range | None:
    """0 leaves an end open. A negative end disables the filter."""
    if given is None:
        return None
    low, high = given["from"], given["to"]
    if low < 0 or high < 0 or (low == 0 and high == 0):
        return None
    return Range(low or None, high or None)


def _times(given: Json | None, now: float, name: str) -> tuple[int | None, int | None] | None:
    """Start and end of a range of times in Unix seconds; None if neither is given."""
    if given is None:
        return None
    low, high, span = given.get("from"), given.get("to"), given.get("range")
    if low is not None or high is not None:
        return (None if low is None else unix_seconds(low, f"{name}.from"), None if high is None else unix_seconds(high, f"{name}.to"))
    if not span:
        return None
    if span not in _SPANS_S:
        raise bad_request(f"{name}.range: {span[:60]!r} is none of {', '.join(_SPANS_S)}")
    return int(now) - _SPANS_S[span], None


def _states(given: Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    for state in given:
        if state not in JOB_STATES:
            raise bad_request(f"state: {state[:60]!r} is not a job state")
    return tuple(dict.fromkeys(given))


def _ids(given: Sequence[str] | None) -> tuple[int, ...] | None:
    """Texts that are not numbers match no job, so they are dropped."""
    return None if given is None else tuple(int(text) for text in given if text.isascii() and text.isdigit() and len(text) < 19)


def _any_tags(given: Json) -> tuple[int, ...] | None:
    among = _tag_ids(given, "any")
    if among is not None and given.get("tags") is not None:
        raise bad_request("tags, tagged.any: only one of them may be given")
    return _ids(given.get("tags")) if among is None else among


def _tag_ids(given: Json, name: str) -> tuple[int, ...] | None:
    listed = (given.get("tagged") or {}).get(name)
    return None if listed is None else tuple(numeric_id(text, f"tagged.{name}") for text in listed)


def job_filters(given: Sequence[Json] | None, now: float) -> list[JobFilter]:
    return [_job_filter(item, now) for item in given or ()]


def _job_filter(given: Json, now: float) -> JobFilter:
    def text(name: str) -> TextMatch | None:
        return text_match(given.get(name))

    started, stopped, ran = (_times(given.get(name), now, name) for name in ("startTime", "stopTime", "overlaps"))

    def numbers(name: str) -> Range | None:
        return _range(given.get(name))

    return JobFilter(
        ids=_ids(given.get("dbId")),
        job_id=text("jobId"),
        array_job_id=given.get("arrayJobId"),
        user=text("user"),
        project=text("project"),
        job_name=text("jobName"),
        cluster=text("cluster"),
        subcluster=text("subCluster"),
        partition=text("partition"),
        node=text("node"),
        states=_states(given.get("state")),
        shared=given.get("shared"),
        is_interactive={"interactive": True, "batch": False}.get(given.get("schedule") or ""),
        start_time=None if started is None else Range(*started),
        stop_time=None if stopped is None else Range(*stopped),
        overlaps=None if ran is None else Overlap(*ran, int(now)),
        duration=numbers("duration"),
        duration_at=int(now) if given.get("duration") else None,
        energy=numbers("energy"),
        num_nodes=numbers("numNodes"),
        num_hwthreads=numbers("numHWThreads"),
        num_acc=numbers("numAccelerators"),
        metric_stats=tuple(_metric_ranges(given.get("metricStats") or ())),
        tags=_any_tags(given),
        all_tags=_tag_ids(given, "all") or (),
        no_tags=_tag_ids(given, "none") or (),
    )


def _metric_ranges(given: Sequence[Json]) -> Iterator[MetricRange]:
    """Open ranges are ignored, except with a name that cannot be a footprint key, which matches no job."""
    for item in given:
        name, limits = item["metricName"], _range(item["range"])
        if limits is not None or not FOOTPRINT_KEY.fullmatch(name):
            yield MetricRange(name, limits or Range())


def order_of(given: Json | None, now: float) -> Order:
    """Latest start first by default."""
    if given is None:
        return Order()
    name, is_descending = given["field"], given["order"] == "DESC"
    if given["type"] != "col":
        return Order(name, is_descending, is_footprint=True)
    column = _ORDER_NAMES.get(name) or _snake_case(name)
    if column not in ORDER_COLUMNS:
        raise bad_request(f"order.field: jobs cannot be ordered by {name[:60]!r}; a footprint key needs the type 'foot'")
    return Order(column, is_descending, duration_at=int(now) if name == "duration" else None)


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isascii() and letter.isupper() else letter for letter in name).removeprefix("_")


def slice_of(given: Json | None) -> Slice:
    """The first 50 jobs by default, all jobs if itemsPerPage is -1."""
    if given is None:
        return Slice(DEFAULT_ITEMS)
    items, page = given["itemsPerPage"], max(given["page"], 1)
    if items == -1:
        return Slice(None)
    if items < 1:
        raise bad_request(f"page.itemsPerPage: {items} is neither positive nor -1")
    return Slice(items, min((page - 1) * items, INT64_MAX))


def points_of(given: int | None, resolution: int | None = None) -> int | None:
    """The maximum number of samples of a reduced series, None without reduction to points."""
    if given is None:
        return None
    if not 1 <= given <= MAX_POINTS:
        raise bad_request(f"points: {given} is not between 1 and {MAX_POINTS}")
    if resolution is not None:
        raise bad_request("points, resolution: only one of them may be given")
    return given


def since_of(given: int | None, resolution: int | None) -> int:
    """Seconds after the start of a job from which on values are wanted; 0 for all, as for a time before the start."""
    if given is None or given <= 0:
        return 0
    if resolution is not None:
        raise bad_request("from, resolution: only one of them may be given")
    return given
