"""Reads rejections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.reading import read
from shared.database.tables import tables

rejection = tables.rejection.c


@dataclass(frozen=True, slots=True)
class RejectionFilter:
    """``since`` is a Unix time, ``after`` a sequence of the log."""

    codes: tuple[str, ...] = ()
    since: float | None = None
    after: int | None = None


async def rejections(engine: AsyncEngine, wanted: RejectionFilter, *, most: int, first: int) -> Sequence[dict[str, Any]]:
    """The newest first. Raises Unavailable."""
    statement = select(tables.rejection).order_by(rejection.seq.desc()).limit(most).offset(first)
    if wanted.codes:
        statement = statement.where(rejection.code.in_([code for code in wanted.codes if "\0" not in code]))
    if wanted.since is not None:
        statement = statement.where(rejection.time >= wanted.since)
    if wanted.after is not None:
        statement = statement.where(rejection.seq > wanted.after)
    return await read(engine, lambda connection: [dict(row._mapping) for row in connection.execute(statement)])
