"""Applies whole states from the log: rows whose own events were lost. A state that the tables already have changes nothing."""

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Connection, Table, UniqueConstraint, delete, insert, select, tuple_

from services.jobstore.sql import write_rows
from shared.database.sql import one_of
from shared.database.tables import ProjectionTables
from shared.domain.events import Cell, JobRestored, RowsRestored

Row = dict[str, Any]


class Restorer:
    """Applies JobRestored and RowsRestored to one set of tables, in the caller's transaction."""

    def __init__(self, tables: ProjectionTables) -> None:
        self._tables = tables

    def jobs(self, connection: Connection, events: Sequence[JobRestored]) -> None:
        """Replace jobs and their tag assignments. The tags themselves have been restored before."""
        job = self._tables.job
        wanted = {event.id: _whole(job, _row(event)) for event in events}
        stored = (connection.execute(select(job).where(one_of(job.c.id, wanted.keys())))).mappings()
        same = {row["id"] for row in stored if dict(row) == wanted[row["id"]]}
        rows = [row for id_, row in wanted.items() if id_ not in same]
        self._delete_jobs(connection, _holders(connection, job, rows) - wanted.keys())
        if rows:
            connection.execute(delete(job).where(one_of(job.c.id, [row["id"] for row in rows])))
        write_rows(connection, insert(job), rows)
        self._tag(connection, {event.id: event.tag_ids for event in events})

    def _tag(self, connection: Connection, tags: dict[int, list[int]]) -> None:
        link = self._tables.jobtag
        pairs = connection.execute(select(link.c.job_id, link.c.tag_id).where(one_of(link.c.job_id, tags.keys())))
        stored = {(row.job_id, row.tag_id) for row in pairs}
        wanted = {(job, tag) for job, ids in tags.items() for tag in ids}
        if changed := {job for job, _ in stored ^ wanted}:
            connection.execute(delete(link).where(one_of(link.c.job_id, changed)))
            rows = [{"job_id": job, "tag_id": tag} for job, tag in sorted(wanted) if job in changed]
            write_rows(connection, insert(link), rows)

    def rows(self, connection: Connection, event: RowsRestored, stream: str) -> None:
        """Make the rows derived from ``stream``, which contains the event, equal to the event within its range of ids."""
        table: Table = getattr(self._tables, event.table)
        key = key_of(table)
        within = (key > event.above, key <= event.to, *rows_of(table, stream))
        wanted = [_whole(table, row) for row in event.rows]
        stored = (connection.execute(select(table).where(*within).order_by(key))).mappings()
        before = [dict(row) for row in stored]
        if before == sorted(wanted, key=lambda row: row[key.name]):
            return
        if event.table == "tag":
            gone = {row["id"] for row in before} - {row["id"] for row in wanted}
            connection.execute(delete(self._tables.jobtag).where(one_of(self._tables.jobtag.c.tag_id, gone)))
        if event.table == "job_deletion":
            self._delete_jobs(connection, {row["job"] for row in wanted})
        connection.execute(delete(table).where(*within))
        if wanted and (is_taken := _same_unique_values(table, wanted)) is not None:
            connection.execute(delete(table).where(is_taken))
        write_rows(connection, insert(table), wanted)

    def _delete_jobs(self, connection: Connection, ids: Collection[int]) -> None:
        if ids:
            job, link = self._tables.job, self._tables.jobtag
            connection.execute(delete(job).where(one_of(job.c.id, ids)))
            connection.execute(delete(link).where(one_of(link.c.job_id, ids)))


def _holders(connection: Connection, table: Table, rows: Sequence[Row]) -> set[int]:
    """Ids of stored rows that conflict with unique values of ``rows``."""
    is_taken = _same_unique_values(table, rows) if rows else None
    return set() if is_taken is None else set(connection.scalars(select(key_of(table)).where(is_taken)))


def _same_unique_values(table: Table, rows: Sequence[Row]) -> ColumnElement[bool] | None:
    """The condition for stored rows that conflict with unique values of ``rows``; None for a table without unique columns."""
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    if not unique:
        return None
    columns = list(unique[0].columns)
    return tuple_(*columns).in_([tuple(row[column.name] for column in columns) for row in rows])


def key_of(table: Table) -> Column[Any]:
    """The column of the ids by which RowsRestored cuts a table into ranges."""
    return next(iter(table.primary_key.columns))


def rows_of(table: Table, stream: str) -> list[ColumnElement[bool]]:
    """The condition for the rows derived from ``stream``: rejections come from two streams with separate sequences."""
    return [table.c.stream == stream] if "stream" in table.c else []


def _row(event: JobRestored) -> dict[str, Cell]:
    row = event.row | {"id": event.id, "cluster": event.cluster}
    return row if event.meta_data is None else row | {"meta_data": metadata_text(event.meta_data)}


def metadata_text(texts: dict[str, str]) -> str:
    """The value of the column ``meta_data``, as the rules write it."""
    return orjson.dumps(texts, option=orjson.OPT_SORT_KEYS).decode()


def _whole(table: Table, row: dict[str, Cell]) -> Row:
    """The row with exactly the columns of ``table``: the log may be older than a column, or newer than its removal."""
    return {column.name: row[column.name] if column.name in row else _default(column) for column in table.columns}


def _default(column: Column[Any]) -> Any:
    if column.server_default is None:
        return None
    text = str(getattr(column.server_default, "arg"))  # noqa: B009  # the tables declare their defaults as text
    return column.type.python_type(text)
