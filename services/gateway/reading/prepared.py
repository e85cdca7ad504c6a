"""Constant statements, compiled once per engine: compiling them each time costs more than running them."""

from typing import Any

import orjson
from sqlalchemy import BigInteger, Connection, Integer, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

# What is written into texts here are names of columns and placeholders of parameters, no values.
# ruff: noqa: S608


class Prepared:
    """Parameters are ``bindparam(name, type_=Text())``; a list is one of them, compared by ``is_one_of``."""

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self._texts: dict[str, tuple[str, tuple[str, ...]]] = {}  # by engine: text, and names of the parameters in their order

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """Rows as returned by the driver."""
        dialect = connection.dialect
        if dialect.name not in self._texts:
            compiled = self.statement.compile(dialect=dialect)
            self._texts[dialect.name] = str(compiled), tuple(getattr(compiled, "positiontup", None) or ())
        text, names = self._texts[dialect.name]
        return list(connection.exec_driver_sql(text, tuple(as_parameter(values[name]) for name in names)))


def as_parameter(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, list) else value


class is_one_of(GenericFunction[int]):  # noqa: N801
    """Whether a column is in a JSON list of texts or, for a column of integers, of numbers."""

    type = Integer()  # a boolean would be compared with 1 on SQLite, which then does not use an index
    inherit_cache = True


@compiles(is_one_of, "sqlite")
def _in_sqlite(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(is_one_of, "postgresql")
def _in_postgresql(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    kind = "bigint" if isinstance(next(iter(element.clauses)).type, BigInteger) else "text"
    listed = f"jsonb_array_elements_text(CAST({values} AS jsonb))"
    return f"{column} = ANY(ARRAY(SELECT CAST(value AS {kind}) FROM {listed} AS value))"
