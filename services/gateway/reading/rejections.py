"""Reads rejections."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, and_, case, cast, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.streams import EVENTS, REJECTIONS
from shared.database.engine import read
from shared.database.progress import progress
from shared.database.rejections import cluster_of_rejection, is_of_cluster
from shared.database.tables import tables
from shared.replay import ReplayFilter, replayable

rejection = tables.rejection.c

MAX_GROUPS = 200
MAX_BARS = 20_000  # sum over all groups
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_CLUSTER = cluster_of_rejection().label("cluster")
_ROW = [_CLUSTER if column.name == "cluster" else column for column in rejection]


@dataclass(frozen=True, slots=True)
class RejectionCursor:
    """The applied sequences of the two streams that rejections come from, EVENTS and REJECTIONS."""

    events: int
    rejections: int

    def __str__(self) -> str:
        return f"{self.events}-{self.rejections}"

    @classmethod
    def parse(cls, text: str) -> "RejectionCursor | None":
        found = _CURSOR.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None

    def is_later(self) -> ColumnElement[bool]:
        later = [(EVENTS, self.events), (REJECTIONS, self.rejections)]
        return or_(*(and_(rejection.stream == stream, rejection.seq > sequence) for stream, sequence in later))


@dataclass(frozen=True, slots=True)
class RejectionFilter:
    """``since`` and ``until`` are Unix times; the empty cluster stands for rejections that name none."""

    codes: Collection[str] = ()
    since: float | None = None
    after: RejectionCursor | None = None
    cluster: str | None = None
    until: float | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.codes:
            found.append(rejection.code.in_([code for code in self.codes if "\0" not in code]))
        if self.since is not None:
            found.append(rejection.time >= self.since)
        if self.until is not None:
            found.append(rejection.time < self.until)
        if self.after is not None:
            found.append(self.after.is_later())
        if self.cluster is not None:
            found.append(is_of_cluster(self.cluster))
        return found


async def rejections(
    engine: AsyncEngine, wanted: RejectionFilter, *, limit: int, first: int
) -> tuple[Sequence[dict[str, Any]], RejectionCursor]:
    """Rejections, newest first, and the cursor to continue from. Raises Unavailable."""
    statement = select(*_ROW).where(*wanted.conditions()).limit(limit).offset(first)
    statement = statement.order_by(rejection.time.desc(), rejection.stream, rejection.seq.desc())

    def work(connection: Connection) -> tuple[Sequence[dict[str, Any]], RejectionCursor]:
        reached = _reached(connection)  # read before the rows: rejections applied in between are listed twice rather than never
        return [dict(row._mapping) for row in connection.execute(statement)], reached

    return await read(engine, work)


def _reached(connection: Connection) -> RejectionCursor:
    applied = progress(connection)
    return RejectionCursor(applied.events, applied.rejections)


async def places(
    engine: AsyncEngine, wanted: RejectionFilter, only: Collection[tuple[str, int]], until: RejectionCursor | None, *, limit: int
) -> list[tuple[str, int]]:
    """Stream and sequence of rejections, oldest first: those of ``only`` if it is not empty, none later than ``until``.

    Raises Unavailable.
    """
    statement = select(rejection.stream, rejection.seq).where(*wanted.conditions())
    if only:
        streams = {stream: [sequence for of, sequence in only if of == stream] for stream in (EVENTS, REJECTIONS)}
        statement = statement.where(or_(*(and_(rejection.stream == name, rejection.seq.in_(found)) for name, found in streams.items())))
    if until is not None:
        statement = statement.where(not_(until.is_later()))
    statement = statement.order_by(rejection.time, rejection.stream, rejection.seq).limit(limit)
    return await read(engine, lambda connection: [(row.stream, row.seq) for row in connection.execute(statement)])


async def one_rejection(engine: AsyncEngine, stream: str, sequence: int) -> dict[str, Any] | None:
    """With its ``origin``, the message id of its event. Raises Unavailable."""
    statement = select(*_ROW).where(rejection.stream == stream, rejection.seq == sequence)

    def work(connection: Connection) -> dict[str, Any] | None:
        row = connection.execute(statement).first()
        return None if row is None else dict(row._mapping)

    return await read(engine, work)


@dataclass(frozen=True, slots=True)
class RejectionGroup:
    """Rejections of one code and cluster. ``replayable`` have a message of the intake; ``bars`` are counts over time."""

    code: str
    cluster: str | None
    count: int
    replayable: int
    newest: float
    bars: list[int]


@dataclass(frozen=True, slots=True)
class RejectionSummary:
    """``groups`` are the ``MAX_GROUPS`` largest ones; ``count`` covers all."""

    count: int
    groups: list[RejectionGroup]
    reached: RejectionCursor


async def rejection_summary(engine: AsyncEngine, wanted: RejectionFilter, *, begin: int, width_s: int, bars: int) -> RejectionSummary:
    """Bars of ``width_s`` seconds, the first of which begins at ``begin``. Raises Unavailable."""
    bar = cast((cast(rejection.time, Integer) - begin) // width_s, Integer).label("bar")
    of_message = (rejection.intake_seq.is_not(None)).label("has_message")
    each = select(rejection.code, _CLUSTER, rejection.time, of_message, bar).where(*wanted.conditions()).subquery().c
    count = func.count().label("count")
    with_message = func.count(case((each.has_message, 1)))
    groups = select(each.code, each.cluster, count, with_message.label("replayable"), func.max(each.time).label("newest"))
    groups = groups.group_by(each.code, each.cluster).order_by(count.desc(), each.code, each.cluster).limit(MAX_GROUPS)
    heights = select(each.code, each.cluster, each.bar, count).group_by(each.code, each.cluster, each.bar)
    heights = heights.order_by(count.desc()).limit(MAX_BARS)

    def work(connection: Connection) -> RejectionSummary:
        reached = _reached(connection)
        found = connection.execute(groups).all()
        total = sum(row[2] for row in found)
        if len(found) == MAX_GROUPS:
            total = connection.scalar(select(func.count()).select_from(tables.rejection).where(*wanted.conditions())) or 0
        by_group = {(row.code, row.cluster): [0] * bars for row in found}
        for code, cluster, place, height in connection.execute(heights):
            if (code, cluster) in by_group:
                by_group[code, cluster][min(max(place, 0), bars - 1)] += height

        def group(code: str, cluster: str | None, number: int, replayable: int, newest: float) -> RejectionGroup:
            return RejectionGroup(code, cluster, number, replayable, newest, by_group[code, cluster])

        return RejectionSummary(total, [group(*row) for row in found], reached)

    return await read(engine, work)


async def replayed_messages(engine: AsyncEngine, origin: str, wanted: ReplayFilter, before: RejectionCursor) -> tuple[int, int]:
    """Counts the replayed messages that wait to be processed, and those refused again since ``before``. Raises Unavailable."""
    sequences = func.count(rejection.intake_seq.distinct())
    any_code = ReplayFilter(after=wanted.after, until=wanted.until)
    waiting = select(sequences).where(*replayable(origin, wanted), not_(before.is_later()))
    refused = select(sequences).where(*replayable(origin, any_code), before.is_later())

    def work(connection: Connection) -> tuple[int, int]:
        return connection.scalar(waiting) or 0, connection.scalar(refused) or 0

    return await read(engine, work)
