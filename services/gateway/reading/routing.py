"""Routes job queries: to the database if one of its indexes serves them, otherwise to the columns in memory.

A query is a ``Question`` over a ``Source``, so that both give the same answer.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import fields
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.people.identity import MANAGER, User
from services.gateway.reading.model import JobFilter, Order, Slice
from services.gateway.reading.source import DATABASE, Source
from shared.database.engine import read
from shared.domain.values import JobState

T = TypeVar("T")
Rows: TypeAlias = Iterable[Any]  # rows have attributes named like the columns only if the database answers
Steps: TypeAlias = Generator[Select[Any], Rows, T]  # yields a statement, is sent its rows, returns the answer
Question: TypeAlias = Callable[[Source], Steps[T]]


class ColumnsAway(Exception):
    """The columns are not loaded or cannot answer; ask the database."""


class Columns(Protocol):
    """The in-memory copy of the narrow columns, as its callers see it."""

    async def ask(self, question: Question[T]) -> T:
        """Raises ColumnsAway; Unavailable when the database cannot be reached, or after the deadline."""


async def ask_database(engine: AsyncEngine, question: Question[T]) -> T:
    """In one transaction. Raises Unavailable."""
    return await read(engine, lambda connection: ask_blocking(DATABASE, connection.execute, question))


def ask_blocking(source: Source, execute: Callable[[Select[Any]], Rows], question: Question[T]) -> T:
    steps = question(source)
    try:
        statement = next(steps)
        while True:
            statement = steps.send(execute(statement))
    except StopIteration as e:
        answer: T = e.value
        return answer


# queries that an index of the database serves


_FEW = 1000  # ids or job ids that are looked up one by one
_MANY = 10_000  # rows of a page; drivers convert them in the event loop
DEEP = 20_000  # largest offset of a page that the database serves
DEEP_WITH_ID = 200_000  # likewise if the index includes the id: that of start_time, and every one on some engines
_UNSET = JobFilter()
_WITH_INDEX = frozenset({"user", "project", "cluster"})  # each together with start_time


def database_pages(user: User, where: Sequence[JobFilter], order: Order, piece: Slice, deep: int = DEEP) -> bool:
    """Whether an index of the database serves a page: jobs by their ids, or in start order without reading others."""
    if _are_few(where):
        return True
    if piece.limit is None or piece.limit > _MANY:
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
    """The kinds of restrictions; None if an index does not serve one of them, or if two are of the same kind."""
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
