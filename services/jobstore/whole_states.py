"""Reads whole states from the tables, to be written into a log that lost their events."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import orjson
from sqlalchemy import ColumnElement, Table, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.appliers.nodes import NODES_PER_EVENT
from services.jobstore.restoring import key_of, metadata_text, rows_of
from shared.broker.streams import EVENTS, NODES, REJECTIONS
from shared.database.engine import transaction
from shared.database.sql import one_of
from shared.database.tables import tables
from shared.domain.events import Cell, Event, JobRestored, RowsRestored

PAGE = 1000
MAX_ROWS_BYTES = 64 * 1024  # estimated size of an event, far below any broker's limit
HIGHEST_ID = 2**63 - 1

TableName = Literal["tag", "job_deletion", "parked_stop", "rejection", "node", "node_state", "node_health"]


def whole_states(engine: AsyncEngine, stream: str, after: int) -> AsyncIterator[list[Event]]:
    """The effect on the tables of events of ``stream`` later than ``after``, page by page.

    Applied to the state at ``after``, or to any later one, these events give the present state. The order matters:
    tags come before the jobs that have them. Small tables whose rows do not record when they changed are included entirely.
    """
    if stream == REJECTIONS:
        return _rows(engine, "rejection", stream)
    return _events_states(engine, after) if stream == EVENTS else _nodes_states(engine, after)


async def _events_states(engine: AsyncEngine, after: int) -> AsyncIterator[list[Event]]:
    async for page in _rows(engine, "tag", EVENTS):
        yield page
    async for page in _rows(engine, "job_deletion", EVENTS, above=after):
        yield page
    async for page in _jobs(engine, after):
        yield page
    async for page in _rows(engine, "parked_stop", EVENTS):
        yield page
    async for page in _rows(engine, "rejection", EVENTS):
        yield page


async def _nodes_states(engine: AsyncEngine, after: int) -> AsyncIterator[list[Event]]:
    first = (after + 1) * NODES_PER_EVENT - 1
    async for page in _rows(engine, "node", NODES):
        yield page
    async for page in _rows(engine, "node_state", NODES, above=first):
        yield page
    async for page in _rows(engine, "node_health", NODES, above=first):
        yield page


async def _jobs(engine: AsyncEngine, after: int) -> AsyncIterator[list[Event]]:
    job, link = tables.job.c, tables.jobtag.c
    changed = or_(job.changed_seq > after, job.id > after)
    async for rows in _pages(engine, tables.job, -1, changed):
        tags: dict[int, list[int]] = {}
        async with transaction(engine) as connection:
            of_rows = one_of(link.job_id, [row["id"] for row in rows])
            for pair in await connection.execute(select(link.job_id, link.tag_id).where(of_rows).order_by(link.job_id, link.tag_id)):
                tags.setdefault(pair.job_id, []).append(pair.tag_id)
        yield [_restored(row, tags.get(row["id"], [])) for row in rows]


def _restored(row: dict[str, Any], tag_ids: list[int]) -> JobRestored:
    cells, texts = _cells(row), None
    if row["meta_data"] is not None and metadata_text(found := orjson.loads(row["meta_data"])) == row["meta_data"]:
        texts = found
        del cells["meta_data"]
    return JobRestored(id=row["id"], cluster=row["cluster"], row=cells, tag_ids=tag_ids, meta_data=texts)


async def _rows(engine: AsyncEngine, name: TableName, stream: str, above: int = -1) -> AsyncIterator[list[Event]]:
    """The rows of a table with ids greater than ``above``. The ranges of the events are contiguous."""
    table: Table = getattr(tables, name)
    key, of_stream = key_of(table), rows_of(table, stream)
    waiting: list[dict[str, Cell]] = []
    size = 0
    async for rows in _pages(engine, table, above, *of_stream):
        events: list[Event] = []
        for row in rows:
            cells = _cells(row)
            row_bytes = sum(len(str(value).encode()) + len(column) + 8 for column, value in cells.items())
            if waiting and size + row_bytes > MAX_ROWS_BYTES:
                to = row[key.name] - 1
                events.append(RowsRestored(table=name, above=above, to=to, rows=waiting))
                above, waiting, size = to, [], 0
            waiting.append(cells)
            size += row_bytes
        yield events
    yield [RowsRestored(table=name, above=above, to=HIGHEST_ID, rows=waiting)]


async def _pages(engine: AsyncEngine, table: Table, above: int, *where: ColumnElement[bool]) -> AsyncIterator[Sequence[dict[str, Any]]]:
    key = key_of(table)
    while True:
        async with transaction(engine) as connection:
            query = select(table).where(key > above, *where).order_by(key).limit(PAGE)
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        above = rows[-1][key.name]


def _cells(row: dict[str, Any]) -> dict[str, Cell]:
    """The row without NULLs, since an absent column without a default means NULL."""
    return {name: value for name, value in row.items() if value is not None}
