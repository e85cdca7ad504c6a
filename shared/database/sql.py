"""Conditions whose statement text does not depend on the values, so that both engines reuse plans and find partial indexes."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, func, literal, literal_column, select
from sqlalchemy.dialects import postgresql

from shared.domain.values import JobState

RUNNING = f"job_state = '{JobState.RUNNING.value}'"  # the predicate of the partial index of running jobs


def has_state(job_state: ColumnElement[Any], state: JobState) -> ColumnElement[bool]:
    """The state is part of the text: with a bound value neither engine uses the partial index of running jobs."""
    return job_state == literal_column(f"'{state.value}'")


def is_running(job_state: ColumnElement[Any]) -> ColumnElement[bool]:
    return has_state(job_state, JobState.RUNNING)


def one_of(dialect: str, column: ColumnElement[Any], values: Collection[int] | Collection[str]) -> ColumnElement[bool]:
    """``column`` equals one of ``values``, which are bound as a single value: one plan for any number of them.

    ``dialect`` is the name of the connection's dialect.
    """
    if dialect == "postgresql":
        item = BigInteger() if isinstance(column.type, BigInteger) else Text()
        return column == func.any(literal(list(values), postgresql.ARRAY(item)))
    each = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(each.c.value))
