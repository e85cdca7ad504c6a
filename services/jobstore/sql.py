"""Helpers for jobstore's statements, for every engine."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table

from shared.database.dialects import dialect_of


def insert_or_ignore(connection: Connection, table: Table) -> Insert:
    """An insert that leaves an existing row with the same unique key unchanged."""
    return dialect_of(connection).insert_or_ignore(table)


def update_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Set the columns of each row, all with the same ones, in the row with its ``id``."""
    if rows:
        dialect_of(connection).update_rows(connection, table, rows)


def write_rows(connection: Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)
