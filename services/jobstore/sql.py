"""SQL that both engines understand, where SQLAlchemy's own would be a new statement text for each length of a list."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Insert, Table, Text, func, literal, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.domain.values import JobState


def one_of(connection: AsyncConnection, column: ColumnElement[Any], values: Collection[int] | Collection[str]) -> ColumnElement[bool]:
    """``column`` is one of ``values``: one bound value, so one statement text and one plan for any number of them."""
    if connection.dialect.name == "postgresql":
        item = BigInteger() if isinstance(column.type, BigInteger) else Text()
        return column == func.any(literal(list(values), postgresql.ARRAY(item)))
    each = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(each.c.value))


def is_running(job_state: ColumnElement[Any]) -> ColumnElement[bool]:
    """With the word in the text: a bound value keeps both engines from using the index of running jobs."""
    return job_state == literal_column(f"'{JobState.RUNNING.value}'")


def insert_or_ignore(connection: AsyncConnection, table: Table) -> Insert:
    """An insert that leaves an existing row with the same unique key as it is."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


async def write_rows(connection: AsyncConnection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(statement, rows)
