"""Job filters as SQL conditions, and the visibility of jobs. REST and GraphQL both use this module only."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, exists, false, func, literal, not_, or_, select, true

from services.gateway.errors import bad_request, forbidden
from services.gateway.people.identity import MANAGER, USER, User
from services.gateway.reading.model import JobFilter, MetricRange, Order, Overlap, Range, Slice, TextMatch
from services.gateway.reading.source import DATABASE, FOOTPRINT_KEY, Source, decimal_text
from shared.database.functions import begins, bytewise, ends, has_word, holds
from shared.database.sql import WordList, has_state
from shared.domain.values import INT32_MAX, INT64_MAX, JOB_STATES, JobState

Condition = ColumnElement[bool]

# Tag types that taggers set. Tags of any other type come from people.
AUTOMATIC_TAG_TYPES = ("app", "jobClass")
INTERACTIVE = "interactive"  # Slurm's default name of interactive jobs
MAX_VALUES = 10_000  # per list in a filter
MAX_VALUES_TOGETHER = 20_000  # in all lists of a request; PostgreSQL accepts 32,767 parameters per statement
MAX_FILTERS = 100
FEW_NAMES = 50  # up to this many names are matched one by one

_TEXTS = {
    "user": "hpc_user",
    "project": "project",
    "job_name": "job_name",
    "cluster": "cluster",
    "subcluster": "subcluster",
    "partition": "cluster_partition",
}
_RANGES = {
    "start_time": INT64_MAX,
    "duration": INT64_MAX,
    "num_nodes": INT32_MAX,
    "num_hwthreads": INT32_MAX,
    "num_acc": INT32_MAX,
}
ORDER_COLUMNS = frozenset(
    "id job_id cluster subcluster submit_time start_time hpc_user project cluster_partition array_job_id duration walltime job_state"
    " num_nodes num_hwthreads num_acc smt shared monitoring_status energy job_name requested_memory".split()
)
_TEXT_ORDERS = frozenset("cluster subcluster hpc_user project cluster_partition job_state shared job_name".split())


def conditions(user: User, where: Sequence[JobFilter], source: Source = DATABASE) -> Condition:
    """Conditions for the jobs that match every filter and are visible to the user.

    Raises RequestError: 403 without a usable role, 400 when a list is too long.
    """
    require_few(where)
    parts = [part for wanted in where for part in _parts(user, wanted, source)]
    return and_(visible_to(user, source), *parts)


def _parts(user: User, wanted: JobFilter, source: Source) -> list[Condition]:
    job = source.job.c
    parts: list[Condition] = []
    if wanted.ids is not None:
        parts.append(job.id.in_([key for key in _bounded("dbId", wanted.ids) if abs(key) <= INT64_MAX]))
    if wanted.job_id is not None:
        parts.append(_job_id(wanted.job_id, job.job_id))
    if wanted.array_job_id is not None:
        parts.append(job.array_job_id == wanted.array_job_id if abs(wanted.array_job_id) <= INT64_MAX else false())
    for name, column in _TEXTS.items():
        match: TextMatch | None = getattr(wanted, name)
        if match is not None:
            parts.append(_text(name, match, column, source))
    if wanted.node is not None:
        parts.append(_node(wanted.node, source))
    if wanted.states is not None:
        parts.append(in_states(wanted.states, source))
    if wanted.shared is not None:
        parts.append(job.shared == wanted.shared if _can_be_stored(wanted.shared) else false())
    if wanted.is_interactive is not None:
        parts.append(job.job_name == INTERACTIVE if wanted.is_interactive else job.job_name.is_distinct_from(INTERACTIVE))
    for name, largest in _RANGES.items():
        limits: Range | None = getattr(wanted, name)
        if limits is not None:
            parts += _whole_numbers(_column(name, wanted.duration_at, source), limits, largest)
    if wanted.stop_time is not None:
        parts += [~is_running(source), *_whole_numbers(job.start_time + job.duration, wanted.stop_time, INT64_MAX)]
    if wanted.overlaps is not None:
        parts += _overlaps(wanted.overlaps, source)
    if wanted.energy is not None:
        parts += _numbers(job.energy, wanted.energy)
    for item in wanted.metric_stats:
        value = footprint(item.name, source)
        parts += [false()] if value is None else [value.is_not(None), *_numbers(value, item.range)]
    return parts + _tags(user, wanted, source)


def _tags(user: User, wanted: JobFilter, source: Source) -> list[Condition]:
    key, jobtag, tag = source.job.c.id, source.jobtag.c, source.tag.c
    of_job = select(jobtag.job_id).join(source.tag, tag.id == jobtag.tag_id).where(readable_tags(user, source))
    parts: list[Condition] = []
    if wanted.tags is not None:
        chosen = [number for number in _bounded("tags", wanted.tags) if abs(number) <= INT64_MAX]
        parts.append(key.in_(of_job.where(jobtag.tag_id.in_(chosen))) if chosen else false())
    if wanted.all_tags:
        chosen = list(dict.fromkeys(_bounded("tagged.all", wanted.all_tags)))
        has_each = of_job.where(jobtag.tag_id.in_(chosen)).group_by(jobtag.job_id).having(func.count() == len(chosen))
        parts.append(key.in_(has_each))
    if wanted.no_tags:
        parts.append(key.not_in(of_job.where(jobtag.tag_id.in_(_bounded("tagged.none", wanted.no_tags)))))
    if wanted.has_tags is not None:
        any_tag = exists(select(jobtag.tag_id).where(jobtag.job_id == key))
        parts.append(any_tag if wanted.has_tags else ~any_tag)
    if wanted.has_tags_of_people is not None:
        of_people = select(jobtag.tag_id).join(source.tag, tag.id == jobtag.tag_id)
        any_tag = exists(of_people.where(jobtag.job_id == key, tag.tag_type.not_in(AUTOMATIC_TAG_TYPES)))
        parts.append(any_tag if wanted.has_tags_of_people else ~any_tag)
    return parts


def require_few(where: Sequence[Any]) -> None:
    """Check the number of filters and values. Raises RequestError (400)."""
    if len(where) > MAX_FILTERS:
        raise bad_request(f"filter: more than {MAX_FILTERS} items")
    if sum(_values(getattr(wanted, field.name)) for wanted in where for field in fields(wanted)) > MAX_VALUES_TOGETHER:
        raise bad_request(f"filter: more than {MAX_VALUES_TOGETHER} values in all lists together")


def _values(criterion: Any) -> int:
    """The number of values in the statement; a metric range has three: the key and both ends."""
    values = criterion.values if isinstance(criterion, TextMatch) else criterion
    return sum(3 if isinstance(value, MetricRange) else 1 for value in values) if isinstance(values, tuple) else 0


def _bounded(name: str, values: Sequence[Any]) -> Sequence[Any]:
    if len(values) > MAX_VALUES:
        raise bad_request(f"{name}: more than {MAX_VALUES} values")
    return values


def in_states(states: Sequence[str], source: Source = DATABASE) -> Condition:
    """Unknown words match nothing.

    A single state is part of the statement text: otherwise the partial index of running jobs is not used.
    """
    known = sorted(JOB_STATES.intersection(states))
    if len(known) == 1:
        return has_state(source.job.c.job_state, JobState(known[0]))
    found: Condition = source.job.c.job_state.in_(known)
    return found


def is_running(source: Source = DATABASE) -> Condition:
    return has_state(source.job.c.job_state, JobState.RUNNING)


# texts


def _can_be_stored(text: str) -> bool:
    """NUL matches nothing: PostgreSQL rejects it even in a comparison."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def lower_ascii(text: str) -> str:
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _text(name: str, match: TextMatch, column: str, source: Source) -> Condition:
    """``neq`` is the opposite of ``eq``: a job without a value differs from every value."""
    stored = source.job.c[column]
    values = [value for value in _bounded(name, match.values) if _can_be_stored(value)]
    if match.operator == "neq":
        if not values:
            return true()
        differs: Condition = stored.is_distinct_from(values[0]) if stored.nullable else stored != values[0]
        return differs
    if not values:
        return false()
    if match.operator == "eq":
        is_same: Condition = stored == values[0]
        return is_same
    if match.operator == "in":
        is_one_of: Condition = stored.in_(values)
        return is_one_of
    return _part_of(source.lower(column), stored, match.operator, lower_ascii(values[0]))


def _part_of(lower: ColumnElement[str], stored: ColumnElement[Any], operator: str, value: str) -> Condition:
    if not value:
        return stored.is_not(None)
    return {"starts_with": begins, "ends_with": ends, "contains": holds}[operator](lower, value)


def _job_id(match: TextMatch, column: ColumnElement[int]) -> Condition:
    """``eq``, ``neq`` and ``in`` compare numbers, so that 007 equals 7; the others compare the decimal text."""
    if match.operator in {"eq", "neq", "in"}:
        numbers = [number for text in _bounded("jobId", match.values) if (number := _number(text)) is not None]
        if match.operator == "neq":
            return column != numbers[0] if numbers else true()
        if len(numbers) == 1:
            return column == numbers[0]
        return column.in_(numbers)
    value = match.values[0]
    return _part_of(decimal_text(column), column, match.operator, value) if _can_be_stored(value) else false()


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 40):
        return None
    number = int(text)
    return number if -INT64_MAX <= number <= INT64_MAX else None


def _node(match: TextMatch, source: Source) -> Condition:
    """A job matches if any of its hosts matches; with ``neq``, if none of its hosts has the name."""
    hosts: ColumnElement[str] = source.job.c.hosts
    names = [name for name in _bounded("node", match.values) if name and " " not in name and _can_be_stored(name)]
    if match.operator == "neq":
        return not_(holds(hosts, f" {names[0]} ")) if names else true()
    if match.operator in {"eq", "in"}:
        if len(names) > FEW_NAMES:
            return has_word(hosts, literal(names, WordList()))
        return or_(false(), *(holds(hosts, f" {name} ") for name in names))
    if match.values[0] == "":
        return hosts != " "
    if not names:
        return false()
    value = lower_ascii(names[0])
    return holds(source.lower("hosts"), {"starts_with": f" {value}", "ends_with": f"{value} ", "contains": value}[match.operator])


# numbers


def _whole_numbers(column: ColumnElement[int], limits: Range, largest: int) -> list[Condition]:
    """Bounds as integers within the range of the column's type, so that an index can be used."""
    if _is_nan(limits):
        return [false()]
    parts: list[Condition] = []
    if limits.least is not None and limits.least > -largest:
        parts.append(column >= math.ceil(limits.least) if limits.least <= largest else false())
    if limits.most is not None and limits.most < largest:
        parts.append(column <= math.floor(limits.most) if limits.most >= -largest else false())
    return parts


def _column(name: str, duration_at: int | None, source: Source) -> ColumnElement[Any]:
    return source.job.c[name] if name != "duration" or duration_at is None else live_duration(source, duration_at)


def _overlaps(wanted: Overlap, source: Source) -> list[Condition]:
    job = source.job.c
    parts: list[Condition] = []
    if wanted.end is not None:
        parts.append(job.start_time < literal(wanted.end, BigInteger))
    if wanted.start is not None:
        has_ended_later = job.duration > literal(wanted.start, BigInteger) - job.start_time  # a sum could overflow
        parts.append(or_(is_running(source), has_ended_later) if wanted.start < wanted.now else has_ended_later)
    return parts


def live_duration(source: Source, now: int) -> ColumnElement[int]:
    """Duration in seconds, up to ``now`` for a running job; at least 0."""
    job = source.job.c
    return case((and_(is_running(source), job.start_time < now), literal(now, BigInteger) - job.start_time), else_=job.duration)


def _numbers(column: ColumnElement[float], limits: Range) -> list[Condition]:
    if _is_nan(limits):
        return [false()]
    parts: list[Condition] = []
    if limits.least is not None:
        parts.append(column >= float(limits.least))
    if limits.most is not None:
        parts.append(column <= float(limits.most))
    return parts


def _is_nan(limits: Range) -> bool:
    return any(isinstance(limit, float) and math.isnan(limit) for limit in (limits.least, limits.most))


def footprint(name: str, source: Source) -> ColumnElement[float] | None:
    """The value of a footprint key, or None if no job can have one."""
    return source.footprint(name) if FOOTPRINT_KEY.fullmatch(name) else None


# order


def ordering(order: Order, source: Source = DATABASE) -> list[ColumnElement[Any]]:
    """Jobs without the value come first in ascending order and last in descending, on every engine.

    A footprint key that no job has orders by id alone. Raises RequestError (400) for a column that jobs cannot be ordered by.
    """
    column: ColumnElement[Any] | None
    if order.is_footprint:
        column = footprint(order.column, source)
        if FOOTPRINT_KEY.fullmatch(order.column) is None:
            raise bad_request(f"order: {order.column!r} is no footprint key")
    elif order.column not in ORDER_COLUMNS:
        raise bad_request(f"order: jobs are not ordered by {order.column!r}")
    else:
        column = _column(order.column, order.duration_at, source)
        if order.column in _TEXT_ORDERS:
            column = bytewise(column)
    key = source.job.c.id
    last = key.desc() if order.is_descending else key.asc()
    if column is None or order.column == "id":
        return [last]
    first = column.desc() if order.is_descending else column.asc()
    if order.is_footprint or source.job.c[order.column].nullable:
        first = first.nulls_last() if order.is_descending else first.nulls_first()
    return [first, last]


def selection(user: User, where: Sequence[JobFilter], order: Order, piece: Slice, source: Source = DATABASE) -> Select[int]:
    """The ids of the jobs that match every filter, in order."""
    return cut(select(source.job.c.id).where(conditions(user, where, source)).order_by(*ordering(order, source)), piece)


def cut(statement: Select[Any], piece: Slice) -> Select[Any]:
    """Apply limit and offset, clamped to what the engines accept."""
    if piece.limit is not None:
        statement = statement.limit(min(piece.limit, INT64_MAX))
    return statement.offset(min(piece.first, INT64_MAX)) if piece.first else statement


# visibility


def visible_to(user: User, source: Source = DATABASE) -> Condition:
    """The jobs that a user may see. Every query of jobs must include it. Raises RequestError (403) without a usable role."""
    job = source.job.c
    if user.sees_all_jobs:
        return true()
    if MANAGER in user.roles and user.projects:
        return or_(job.project.in_(sorted(user.projects)), job.hpc_user == user.name)
    if user.roles & {MANAGER, USER}:
        own: Condition = job.hpc_user == user.name
        return own
    raise forbidden(f"the user {user.name} has no role that sees jobs")


def may_see(user: User, owner: str, project: str) -> bool:
    """``visible_to`` for a job outside of a query, such as a deleted one."""
    if user.sees_all_jobs:
        return True
    if MANAGER in user.roles and project in user.projects:
        return True
    return bool(user.roles & {MANAGER, USER}) and owner == user.name


def readable_tags(user: User, source: Source = DATABASE) -> Condition:
    scopes = user.readable_scopes
    return source.tag.c.tag_scope.in_(scopes) if scopes else false()
