"""Questions of one or more statements that the database and the columns answer alike."""

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
    """Not loaded, or not able to answer: the database is to be asked."""


class Columns(Protocol):
    """The copy of the narrow columns of all jobs, as those who ask know it."""

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
