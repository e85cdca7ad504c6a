"""`jobtide rejections` and `jobtide replay`."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.raw import publish_to_intake
from cli.site import broker_of, database_of, find_site
from shared.domain.reasons import LINE_PROTOCOL, REASONS
from shared.errors import Unavailable, UserError
from shared.printing import printable

FOLLOW_PAUSE_S = 1.0
PAGE = 500
EXCERPT_LENGTH = 120  # characters shown; the database has more


@dataclass(frozen=True, slots=True)
class Shown:
    """The last rejection shown, by sequence and by time.

    Neither alone is enough: a parked stop is rejected long after its own sequence, and an event that is read late has an early time.
    """

    sequence: int
    time: tuple[float, int]

    def then(self, rows: Sequence[Row[Any]]) -> "Shown":
        return Shown(max([self.sequence, *(row.seq for row in rows)]), max([self.time, *((row.time, row.seq) for row in rows)]))


async def newest(engine: AsyncEngine, limit: int, code: str | None) -> tuple[Sequence[Row[Any]], Shown]:
    """The newest ``limit`` rejections, only those with ``code`` if given, oldest first."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    rejection = tables.rejection.c
    async with transaction(engine) as connection:
        query = select(tables.rejection).order_by(rejection.time.desc(), rejection.seq.desc()).limit(limit)
        rows: Sequence[Row[Any]] = (await connection.execute(_only(query, code))).all()
        last = await connection.scalar(select(func.max(rejection.seq)))
    return rows[::-1], Shown(last or 0, max(((row.time, row.seq) for row in rows), default=(0.0, 0)))


async def after(engine: AsyncEngine, shown: Shown, code: str | None) -> Sequence[Row[Any]]:
    """A page of rejections that are newer by sequence or by time."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    rejection = tables.rejection
    place = tuple_(rejection.c.time, rejection.c.seq)
    is_new = or_(rejection.c.seq > shown.sequence, place > tuple_(*map(literal, shown.time)))
    async with transaction(engine) as connection:
        query = select(rejection).where(is_new).order_by(rejection.c.time, rejection.c.seq).limit(PAGE)
        rows: Sequence[Row[Any]] = (await connection.execute(_only(query, code))).all()
    return rows


def _only(query: Select[Any], code: str | None) -> Select[Any]:
    from shared.database.tables import tables

    return query if code is None else query.where(tables.rejection.c.code == code)


def folded(rows: Sequence[Row[Any]]) -> Iterator[list[Row[Any]]]:
    """Groups of adjacent rejections of one message that differ only in their line."""
    for _, group in itertools.groupby(rows, _sameness):
        yield list(group)


def _sameness(row: Row[Any]) -> tuple[Any, ...]:
    if row.intake_seq is None:
        return (row.seq,)
    # Text that is no line protocol fails at a different column in each line, which is no difference to a reader.
    text = None if row.code == LINE_PROTOCOL else row.text
    return (row.intake_seq, row.code, row.field, row.cluster, row.job_id, text)


def describe(rows: Sequence[Row[Any]]) -> str:
    """Two lines for one group: time, place in the intake and reason, then the subject and the first input."""
    row = rows[0]
    at = datetime.fromtimestamp(row.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    summary = f"{at}  {_place(rows):<24} {_why(row, len(rows))}"
    subject = f"{row.subject}: " if row.subject else ""
    return f"{summary}\n    {subject}{shortened(row.excerpt)}" if row.excerpt or subject else summary


def shortened(excerpt: str) -> str:
    """Quoted and in one line, with control characters escaped."""
    return repr(excerpt if len(excerpt) <= EXCERPT_LENGTH else excerpt[:EXCERPT_LENGTH] + "…")


def _place(rows: Sequence[Row[Any]]) -> str:
    first, last = rows[0], rows[-1]
    if first.intake_seq is None:
        return f"event {first.seq}"
    lines = f"line {first.line}" if first.line == last.line else f"lines {first.line}-{last.line}"
    return f"intake {first.intake_seq} {lines}"


def _why(row: Row[Any], count: int) -> str:
    code = row.code if count == 1 else f"{row.code} x{count}"
    job = f" job {row.job_id}{f' of {row.cluster}' if row.cluster else ''}:" if row.job_id is not None else ""
    field = f" {row.field}:" if row.field else ""
    return printable(f"{code:<20}{job}{field} {' '.join(row.text.split())}")


def run_rejections(data: Path | None, *, limit: int, follow: bool, code: str | None = None) -> None:
    """Raises UserError when no rejection can have the ``code``."""
    if code is not None and code not in REASONS:
        raise UserError(f"--code: {code!r} is none of {', '.join(REASONS)}")

    async def run() -> None:
        async with database_of(find_site(data)) as engine:
            rows, shown = await newest(engine, limit, code)
            while True:
                for group in folded(rows):
                    print(describe(group), flush=True)
                shown = shown.then(rows)
                if not follow:
                    if not rows:
                        print("no rejections" if code is None else f"no rejections with the code {code}")
                    return
                await asyncio.sleep(FOLLOW_PAUSE_S)
                try:
                    rows = await after(engine, shown, code)
                except Unavailable:
                    rows = []  # the database is unavailable: try again

    asyncio.run(run())


def run_replay(data: Path | None, sequence: int) -> None:
    from nats.errors import Error as NatsError
    from nats.js.errors import NotFoundError

    from shared.broker.streams import INTAKE

    async def run() -> tuple[str, int]:
        async with broker_of(find_site(data), "replay") as (client, nats):
            stream = nats.stream(INTAKE)
            try:
                message = await client.jetstream(timeout=5).get_msg(stream, seq=sequence)
            except NotFoundError as e:
                raise UserError(f"the stream {stream} has no message {sequence}") from e
            except (NatsError, TimeoutError) as e:
                raise Unavailable(f"the broker does not answer for the stream {stream}") from e
            assert message.subject is not None
            (new,) = await publish_to_intake(client, [(message.subject, message.data or b"")])
            return message.subject, new

    subject, new = asyncio.run(run())
    print(f"message {sequence} was published again to {subject} as {new}")
