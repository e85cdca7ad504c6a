"""Statements whose text does not depend on the values, so that both engines reuse plans and find partial indexes.

Also the fast ways to run them: rows as named tuples, and statements that are compiled once.
"""

import json
from collections import namedtuple
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    Select,
    Text,
    TypeDecorator,
    and_,
    bindparam,
    literal,
    literal_column,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine

from shared.domain.values import MONITORING_OPEN, JobState

_ToDriver = Callable[[Any], Any] | None
RUNNING = f"job_state = '{JobState.RUNNING.value}'"  # the predicate of the partial index of running jobs

WAITS_FOR_ARCHIVE = f"monitoring_status = {MONITORING_OPEN} AND job_state <> '{JobState.RUNNING.value}'"  # that of jobs to be archived


class bytewise(GenericFunction[str]):  # noqa: N801
    """A text that is ordered by its bytes, whatever locale the database was created with."""

    type = Text()
    inherit_cache = True


@compiles(bytewise)
def _as_it_is(element: bytewise, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(bytewise, "postgresql")
def _in_c_order(element: bytewise, compiler: SQLCompiler, **options: Any) -> str:
    return f'({compiler.process(element.clauses, **options)} COLLATE "C")'


def has_state(job_state: ColumnElement[Any], state: JobState) -> ColumnElement[bool]:
    """The state is part of the text: with a bound value neither engine uses the partial index of running jobs."""
    return job_state == literal_column(f"'{state.value}'")


def is_running(job_state: ColumnElement[Any]) -> ColumnElement[bool]:
    return has_state(job_state, JobState.RUNNING)


def waits_for_archive(monitoring_status: ColumnElement[Any], job_state: ColumnElement[Any]) -> ColumnElement[bool]:
    """A stopped job that is to be archived."""
    return and_(monitoring_status == literal_column(str(MONITORING_OPEN)), job_state != literal_column(f"'{JobState.RUNNING.value}'"))


class ListValue(TypeDecorator[list[Any]]):
    """A list of any length as one bound value: an array for PostgreSQL, JSON text for SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, item: type[BigInteger] | type[Text]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(postgresql.ARRAY(self.item()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" else json.dumps(value)


def one_of(column: ColumnElement[Any], values: Collection[int] | Collection[str] | BindParameter[Any]) -> ColumnElement[bool]:
    """``column`` equals one of ``values``: one plan for any number of them."""
    bound = values if isinstance(values, BindParameter) else literal(list(values), _list_of(column))
    return cast("ColumnElement[bool]", _one_of(column, bound))


def list_parameter(name: str, column: ColumnElement[Any]) -> BindParameter[Any]:
    """The values of ``one_of`` as a parameter that is given when the statement runs."""
    return bindparam(name, type_=_list_of(column))


def _list_of(column: ColumnElement[Any]) -> ListValue:
    return ListValue(BigInteger if isinstance(column.type, BigInteger) else Text)


class _one_of(GenericFunction[int]):  # noqa: N801
    type = Integer()  # a boolean would be compared with 1 on SQLite, which then does not use an index
    inherit_cache = True


@compiles(_one_of, "sqlite")
def _in_sqlite(element: _one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a column and a placeholder


@compiles(_one_of, "postgresql")
def _in_postgresql(element: _one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY ({values})"


def rows(connection: Connection, statement: Select[Any]) -> list[Any]:
    """Rows as named tuples, whose attribute access is several times faster than that of SQLAlchemy rows."""
    make = _maker(tuple(column.name for column in statement.selected_columns))
    return [make(values) for values in connection.execute(statement)]


@lru_cache(maxsize=1000)
def _maker(names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    kind: Any = namedtuple("Row", list(names))  # type: ignore[misc]
    make: Callable[[Sequence[Any]], Any] = kind._make
    return make


class Prepared:
    """A constant statement, compiled once per engine: compiling it each time costs more than running it.

    All its values are parameters: ``bindparam``, and ``list_parameter`` for lists.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self._compiled: dict[str, tuple[str, list[tuple[str, _ToDriver]]]] = {}  # by engine: text, and the parameters in its order

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """Rows as returned by the driver."""
        name = connection.dialect.name
        if name not in self._compiled:
            self._compiled[name] = self._compile(connection.dialect)
        text, parameters = self._compiled[name]
        given = tuple(values[name] if convert is None else convert(values[name]) for name, convert in parameters)
        return list(connection.exec_driver_sql(text, given))

    def _compile(self, dialect: Dialect) -> tuple[str, list[tuple[str, _ToDriver]]]:
        compiled: Any = self.statement.compile(dialect=dialect)
        types = {name: compiled.binds[name].type.dialect_impl(dialect) for name in compiled.positiontup or ()}
        return str(compiled), [(name, types[name].bind_processor(dialect)) for name in compiled.positiontup or ()]
