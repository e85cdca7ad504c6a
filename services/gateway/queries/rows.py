"""Rows of many columns, read in one go."""

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Double, Select, func, select


def rows(connection: Connection, statement: Select[Any]) -> list[Any]:
    """Named tuples, in the order of the statement."""
    make = _maker(tuple(column.name for column in statement.selected_columns))
    if connection.dialect.name == "sqlite":
        return [make(values) for values in _as_one_text(connection, statement)]
    return [make(values) for values in connection.execute(statement)]


def _as_one_text(connection: Connection, statement: Select[Any]) -> list[Any]:
    """SQLite's driver gives the interpreter's lock away and asks for it again at every row, and each time another thread comes first."""
    inner = statement.subquery()
    text: Any = connection.scalar(select(func.json_group_array(func.json_array(*map(_exact, inner.c)))))
    found: list[Any] = orjson.loads(text)
    return found


def _exact(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Fractions with all their digits, as long as they have no more than 100 before or behind the point: SQLite's JSON leaves some out."""
    return func.json(func.printf("%!.17g", column)) if isinstance(column.type, Double) else column


@lru_cache(maxsize=1000)
def _maker(names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    kind: Any = namedtuple("Row", list(names))  # type: ignore[misc]
    make: Callable[[Sequence[Any]], Any] = kind._make
    return make
