"""Statements whose text does not depend on the values, so that engines reuse plans and find partial indexes.

Also the fast ways to run them: rows as named tuples, and statements that are compiled once.
"""

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
    Select,
    Text,
    TypeDecorator,
    and_,
    bindparam,
    literal,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from shared.database.dialects import dialect_of
from shared.database.functions import is_one_of
from shared.domain.values import ARCHIVING_FAILED, MONITORING_OPEN, JobState

_ToDriver = Callable[[Any], Any] | None
RUNNING = f"job_state = '{JobState.RUNNING.value}'"  # the predicate of the partial index of running jobs

WAITS_FOR_ARCHIVE = f"monitoring_status = {MONITORING_OPEN} AND job_state <> '{JobState.RUNNING.value}'"  # that of jobs to be archived

ARCHIVING_HAS_FAILED = f"monitoring_status = {ARCHIVING_FAILED}"  # that of jobs whose archiving failed


def has_state(job_state: ColumnElement[Any], state: JobState) -> ColumnElement[bool]:
    """The state is part of the text: with a bound value no engine uses the partial index of running jobs."""
    return job_state == literal_column(f"'{state.value}'")


def is_running(job_state: ColumnElement[Any]) -> ColumnElement[bool]:
    return has_state(job_state, JobState.RUNNING)


def waits_for_archive(monitoring_status: ColumnElement[Any], job_state: ColumnElement[Any]) -> ColumnElement[bool]:
    """A stopped job that is to be archived."""
    return and_(monitoring_status == literal_column(str(MONITORING_OPEN)), job_state != literal_column(f"'{JobState.RUNNING.value}'"))


def archiving_has_failed(monitoring_status: ColumnElement[Any]) -> ColumnElement[bool]:
    return monitoring_status == literal_column(str(ARCHIVING_FAILED))


class ListValue(TypeDecorator[list[Any]]):
    """A list of any length as one bound value, for ``one_of``."""

    impl = Text
    cache_ok = True

    def __init__(self, item: type[BigInteger] | type[Text]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialect_of(dialect).list_type(self.item()))

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> Any:
        return dialect_of(dialect).list_value(value)


class WordList(ListValue):
    """Likewise, for ``has_word``."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(Text)

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> Any:
        return dialect_of(dialect).word_list_value(value)


def one_of(column: ColumnElement[Any], values: Collection[int] | Collection[str] | BindParameter[Any]) -> ColumnElement[bool]:
    """``column`` equals one of ``values``: one plan for any number of them."""
    bound = values if isinstance(values, BindParameter) else literal(list(values), _list_of(column))
    return cast("ColumnElement[bool]", is_one_of(column, bound))


def list_parameter(name: str, column: ColumnElement[Any]) -> BindParameter[Any]:
    """The values of ``one_of`` as a parameter that is given when the statement runs."""
    return bindparam(name, type_=_list_of(column))


def _list_of(column: ColumnElement[Any]) -> ListValue:
    return ListValue(BigInteger if isinstance(column.type, BigInteger) else Text)


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
