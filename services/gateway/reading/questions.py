"""Queries of one or more statements that the database and the columns answer identically."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.source import DATABASE, Source
from shared.database.reading import read

T = TypeVar("T")
Rows: TypeAlias = Iterable[Any]  # with attributes named as the columns only where the database answers
Steps: TypeAlias = Generator[Select[Any], Rows, T]  # yields a statement, is sent its rows, returns the answer
Question: TypeAlias = Callable[[Source], Steps[T]]


class ColumnsAway(Exception):
    """The columns are not loaded or cannot answer; ask the database."""


class Columns(Protocol):
    """The in-memory copy of the narrow columns, as its callers see it."""

    async def ask(self, question: Question[T]) -> T:
        """Raises ColumnsAway; Unavailable when the database is away or time is up."""


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
