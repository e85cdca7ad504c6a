"""`jobtide rejections` and `jobtide replay`."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, and_, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.site import broker_of, database_of, find_site
from shared.domain.reasons import LINE_PROTOCOL, REASONS
from shared.errors import Unavailable, UserError
from shared.printing import printable

FOLLOW_PAUSE_S = 1.0
REPLAY_STEP_S = 20.0  # deadline for up to 1,000 messages
PAGE = 500
STREAMS = ("EVENTS", "REJECTIONS")  # where rejections come from
EXCERPT_LENGTH = 120  # characters shown, of more in the database


@dataclass(frozen=True, slots=True)
class Shown:
    """The last rejection of one stream that was shown, by sequence and by time.

    Both are needed: a parked stop is rejected long after its own sequence, and an event that is read late has an early time.
    """

    sequence: int = 0
    time: tuple[float, int] = (0.0, 0)

    def then(self, rows: Sequence[Row[Any]]) -> "Shown":
        return Shown(max([self.sequence, *(row.seq for row in rows)]), max([self.time, *((row.time, row.seq) for row in rows)]))


ShownByStream = Mapping[str, Shown]


def then_shown(shown: ShownByStream, rows: Sequence[Row[Any]]) -> ShownByStream:
    return {stream: one.then([row for row in rows if row.stream == stream]) for stream, one in shown.items()}


async def newest(engine: AsyncEngine, limit: int, code: str | None) -> tuple[Sequence[Row[Any]], ShownByStream]:
    """The newest ``limit`` rejections, only those with ``code`` if given, oldest first."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    rejection = tables.rejection.c
    async with transaction(engine) as connection:
        query = select(tables.rejection).order_by(rejection.time.desc(), rejection.seq.desc()).limit(limit)
        rows: Sequence[Row[Any]] = (await connection.execute(_only(query, code))).all()
        lasts = await connection.execute(select(rejection.stream, func.max(rejection.seq)).group_by(rejection.stream))
        last = {row[0]: row[1] for row in lasts}
    latest = max((row.time for row in rows), default=0.0)  # for both streams: rejections older than the shown rows stay hidden
    return rows[::-1], then_shown({stream: Shown(last.get(stream, 0), (latest, 0)) for stream in STREAMS}, rows)


async def after(engine: AsyncEngine, shown: ShownByStream, code: str | None) -> Sequence[Row[Any]]:
    """A page of rejections that are newer by sequence or by time."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    rejection = tables.rejection
    place = tuple_(rejection.c.time, rejection.c.seq)
    is_new = [
        and_(rejection.c.stream == stream, or_(rejection.c.seq > one.sequence, place > tuple_(*map(literal, one.time))))
        for stream, one in shown.items()
    ]
    async with transaction(engine) as connection:
        query = select(rejection).where(or_(*is_new)).order_by(rejection.c.time, rejection.c.seq).limit(PAGE)
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
        return (row.stream, row.seq)
    # Text that is not line protocol fails at a different column in each line, but it is the same fault for the reader.
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
        return f"{'event' if first.stream == 'EVENTS' else 'rejection'} {first.seq}"
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
                shown = then_shown(shown, rows)
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
    """Replay one message of the intake."""
    from shared.broker.publisher import Publisher
    from shared.broker.streams import INTAKE
    from shared.replay import replay_one

    async def run() -> tuple[str, int]:
        async with broker_of(find_site(data), "replay") as (client, nats):
            js = client.jetstream(timeout=5)
            return await replay_one(js, Publisher(client, nats.prefix), nats.stream(INTAKE), sequence, deadline_s=REPLAY_STEP_S)

    subject, new = asyncio.run(run())
    print(f"message {sequence} was published again to {subject} as {new}; `jobtide rejections` shows whether it is refused again")


def run_replay_of_code(data: Path | None, code: str, since: datetime | None, cluster: str | None) -> None:
    """Replay the messages of all rejections with ``code``. Raises UserError when no rejection can have it."""
    from shared.broker.publisher import Publisher
    from shared.replay import ReplayFilter, replay

    if code not in REASONS:
        raise UserError(f"--code: {code!r} is none of {', '.join(REASONS)}")
    if cluster is not None and "\0" in cluster:
        raise UserError("--cluster: has a NUL character")
    wanted = ReplayFilter(code, since.timestamp() if since else 0.0, cluster)

    async def run() -> tuple[int, int]:
        site, published, expired = find_site(data), 0, 0
        async with broker_of(site, "replay") as (client, nats), database_of(site) as engine:
            js, publisher = client.jetstream(timeout=5), Publisher(client, nats.prefix)
            after, has_more = 0, True
            while has_more:
                done = await replay(engine, js, publisher, nats, replace(wanted, after=after), deadline_s=REPLAY_STEP_S)
                published, expired = published + done.published, expired + done.expired
                after, has_more = done.last, done.has_more
        return published, expired

    published, expired = asyncio.run(run())
    gone = f"; {expired} have expired from the intake" if expired else ""
    print(f"{published} messages were published again{gone}; `jobtide rejections` shows whether they are refused again")
