"""Loads the database into the copy: everything once, then changes."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.gateway.reading.columns.lines import Lines, Place, changed_job_lines, changed_jobtag_lines, job_lines, jobtag_lines, tag_lines
from services.gateway.reading.columns.store import ColumnStore, CopyTransaction
from shared.database.dialects import dialect_of
from shared.database.engine import read, transaction
from shared.database.progress import Progress, progress
from shared.database.tables import tables
from shared.domain.values import INT32_MAX, INT64_MAX

CHUNK_ROWS = 20_000
Work = Callable[[CopyTransaction], None]
LinesAfter = Callable[[tuple[int, ...]], Lines]


class Moved(Exception):
    """The tables were rebuilt or an older backup was restored: start over."""


@dataclass(slots=True)
class Copy:
    """A store and its progress: it has at least the state of the database at ``at``."""

    store: ColumnStore
    at: Progress = field(default_factory=Progress)
    last_tag: int = -1


class Follower:
    """Reads the database in the event loop, many rows as one text, and writes in the single thread of ``writer``."""

    def __init__(self, engine: AsyncEngine, writer: Executor) -> None:
        # All statements of a change must see one state of the database.
        is_chosen = dialect_of(engine).follows_snapshots
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ") if is_chosen else engine
        self._engine = engine
        self._writer = writer

    async def load(self, copy: Copy) -> None:
        """Load all rows in short transactions; rows that change meanwhile are read again after ``copy.at``. Raises Unavailable."""
        async with transaction(self._snapshots) as connection:
            copy.at = await connection.run_sync(progress)
            tags, last_tag = await _new_tags(connection, copy)
            await self._write(copy.store, [tags])
            copy.last_tag = last_tag
        await self._load_table(copy.store, _new_jobs, lambda place: job_lines(place[0], CHUNK_ROWS), (-INT64_MAX,))
        await self._load_table(copy.store, _jobtags, lambda place: jobtag_lines((place[0], place[1]), CHUNK_ROWS), (-INT64_MAX, -INT64_MAX))

    async def _load_table(
        self, store: ColumnStore, work: Callable[[str], Work], lines_after: LinesAfter, place: tuple[int, ...] | None
    ) -> None:
        writing: asyncio.Future[None] | None = None  # runs while the next rows are read
        try:
            while place is not None:
                async with transaction(self._engine) as connection:
                    text, place = await _chunk(connection, lines_after(place))
                if writing is not None:
                    await writing
                writing = self._write(store, [work(text)])
        finally:
            if writing is not None:
                await writing

    async def catch_up(self, copy: Copy) -> None:
        """Costs one small query when nothing changed. Raises Moved, Unavailable."""
        if await read(self._engine, progress) == copy.at:
            return
        async with transaction(self._snapshots) as connection:
            now = await connection.run_sync(progress)
            if not now.follows(copy.at):
                raise Moved
            if now.events > copy.at.events:
                await self._apply(connection, copy)
        copy.at = now

    async def _apply(self, connection: AsyncConnection, copy: Copy) -> None:
        """Apply changes in one transaction per chunk."""
        deletion = tables.job_deletion.c
        gone = (await connection.scalars(select(deletion.job).where(deletion.seq > copy.at.events))).all()
        tags, last_tag = await _new_tags(connection, copy)
        work = [_without(gone), tags]
        place: tuple[int, ...] | None = (copy.at.events, INT64_MAX)
        while place is not None:
            since = Place(place[0], place[1])
            jobs, place = await _chunk(connection, changed_job_lines(since, CHUNK_ROWS))
            jobtags, _ = await _chunk(connection, changed_jobtag_lines(since, CHUNK_ROWS))
            await self._write(copy.store, [*work, _changed_jobs(jobs), _jobtags(jobtags)])
            copy.last_tag = last_tag  # after the write, which a cancelled caller does not reach
            work = []
            if place is not None:  # keep the progress in case of cancellation
                copy.at = replace(copy.at, events=max(copy.at.events, place[0] - 1))

    def _write(self, store: ColumnStore, work: Sequence[Work]) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().run_in_executor(self._writer, store.write, work)


async def _new_tags(connection: AsyncConnection, copy: Copy) -> tuple[Work, int]:
    """The tags that the copy lacks, and the last id. Tags never change, and a new one has a larger id."""
    text, _ = await _chunk(connection, tag_lines(copy.last_tag, INT32_MAX))
    last = await connection.scalar(select(func.max(tables.tag.c.id))) if text else None
    return lambda transaction: transaction.add_tags(text), copy.last_tag if last is None else last


def _without(keys: Sequence[int]) -> Work:
    return lambda transaction: transaction.delete_jobs(keys)


def _new_jobs(text: str) -> Work:
    return lambda transaction: transaction.add_jobs(text, are_new=True)


def _changed_jobs(text: str) -> Work:
    return lambda transaction: transaction.add_jobs(text)


def _jobtags(text: str) -> Work:
    return lambda transaction: transaction.add_jobtags(text)


async def _chunk(connection: AsyncConnection, lines: Lines) -> tuple[str, tuple[int, ...] | None]:
    """The text, and the place of its last row if more rows may follow."""
    if not dialect_of(connection).joins_lines:
        rows = (await connection.execute(lines.rows)).all()
        return "\n".join(row[0] for row in rows), tuple(rows[-1][1:]) if len(rows) == lines.limit else None
    row: Sequence[Any] = (await connection.execute(lines.as_one_text())).one()
    text, *place = row
    return text or "", None if place[0] is None else tuple(place)
