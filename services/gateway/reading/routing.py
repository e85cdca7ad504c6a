"""Chooses between the database, where an index answers directly, and the columns."""

from collections.abc import Sequence
from dataclasses import fields

from services.gateway.people.identity import MANAGER, User
from services.gateway.reading.model import JobFilter, Order, Slice
from shared.domain.values import JobState

_FEW = 1000  # ids or job ids that are looked up one by one
_MANY = 10_000  # rows that a driver converts in the event loop
DEEP = 20_000  # jobs skipped before the first one of a page
DEEP_WITH_ID = 200_000  # the same with an index that includes the id: the one of start_time, on SQLite all
_UNSET = JobFilter()
_WITH_INDEX = frozenset({"user", "project", "cluster"})  # each together with start_time


def database_pages(user: User, where: Sequence[JobFilter], order: Order, piece: Slice, deep: int = DEEP) -> bool:
    """Whether an index of the database gives a page: jobs by their ids, or in the order of their start without reading others."""
    if _are_few(where):
        return True
    if piece.most is None or piece.most > _MANY:
        return False
    if order.is_footprint or order.column != "start_time":
        return False
    criteria = _criteria(user, where)
    if criteria is None:
        return False
    rest = criteria - {"start_time"}
    if piece.first > (deep if rest else DEEP_WITH_ID):
        return False
    return len(rest) <= 1 or rest == {"running", "cluster"}


def database_counts(user: User, where: Sequence[JobFilter]) -> bool:
    """Whether the count covers only few index rows."""
    if _are_few(where):
        return True
    criteria = _criteria(user, where)
    return criteria is not None and criteria - {"start_time"} in ({"user"}, {"running"}, {"running", "cluster"})


def _are_few(where: Sequence[JobFilter]) -> bool:
    return any(
        (wanted.ids is not None and len(wanted.ids) <= _FEW)
        or (wanted.job_id is not None and wanted.job_id.operator in {"eq", "in"} and len(wanted.job_id.values) <= _FEW)
        for wanted in where
    )


def _criteria(user: User, where: Sequence[JobFilter]) -> set[str] | None:
    """What restricts the jobs, as long as it is what indexes know; else None. Two restrictions of a kind are no longer one."""
    found: list[str] = []
    if not user.sees_all_jobs:
        if MANAGER in user.roles and user.projects:
            return None
        found.append("user")
    for wanted in where:
        for field in fields(wanted):
            value = getattr(wanted, field.name)
            if value == getattr(_UNSET, field.name) or field.name == "duration_at":
                continue
            if field.name == "start_time":
                found.append("start_time")
            elif field.name in _WITH_INDEX and value.operator == "eq":
                found.append(field.name)
            elif field.name == "states" and set(value) == {JobState.RUNNING}:
                found.append("running")
            else:
                return None
    kinds = set(found) - {"start_time"}
    return set(found) if len([kind for kind in found if kind != "start_time"]) == len(kinds) else None
