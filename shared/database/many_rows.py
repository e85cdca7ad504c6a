"""Writing many rows with one statement. SQLAlchemy would build the parameters of each row anew, which takes longer than to write it."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Insert, Update

PREFIX = "row_"


class ManyRows:
    """A statement with a parameter for each column of a row, compiled once per engine and set of columns.

    The parameters of an update have the prefix ``PREFIX``, since SQLAlchemy reserves the names of columns. Values go to the driver as
    they are, so the columns must have types that SQLAlchemy does not convert.
    """

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, tuple[str, ...]], tuple[str, itemgetter[Any]]] = {}

    def write(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """``rows`` have the same columns, at least two."""
        if not rows:
            return
        key = connection.dialect.name, tuple(rows[0])
        if key not in self._compiled:
            columns = list(rows[0]) if isinstance(self._statement, Insert) else None  # an update names its columns itself
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=columns)
            self._compiled[key] = str(compiled), itemgetter(*(name.removeprefix(PREFIX) for name in compiled.positiontup or ()))
        text, values = self._compiled[key]
        connection.exec_driver_sql(text, [values(row) for row in rows])
