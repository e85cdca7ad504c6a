"""Helpers for jobstore's statements, for both engines."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import sql


def one_of(connection: AsyncConnection, column: ColumnElement[Any], values: Collection[int] | Collection[str]) -> ColumnElement[bool]:
    return sql.one_of(column, values)


def insert_or_ignore(connection: AsyncConnection, table: Table) -> Insert:
    """An insert that leaves an existing row with the same unique key unchanged."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


async def write_rows(connection: AsyncConnection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(statement, rows)
