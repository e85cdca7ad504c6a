"""Helpers for jobstore's statements, for every engine."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import sql
from shared.database.dialects import dialect_of


def one_of(connection: AsyncConnection, column: ColumnElement[Any], values: Collection[int] | Collection[str]) -> ColumnElement[bool]:
    return sql.one_of(column, values)


def insert_or_ignore(connection: AsyncConnection, table: Table) -> Insert:
    """An insert that leaves an existing row with the same unique key unchanged."""
    return dialect_of(connection).insert_or_ignore(table)


async def update_rows(connection: AsyncConnection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Set the columns of each row, all with the same ones, in the row with its ``id``."""
    if rows:
        await dialect_of(connection).update_rows(connection, table, rows)


async def write_rows(connection: AsyncConnection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(statement, rows)
