"""`jobtide rejections` and `jobtide replay`."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.raw import RawPublisher
from cli.site import broker_of, find_site
from shared.errors import Unavailable, UserError

FOLLOW_PAUSE_S = 1.0
PAGE = 500


async def newest(engine: AsyncEngine, most: int) -> Sequence[Row[Any]]:
    """The last ``most`` rejections, oldest first."""
    from shared.database.engine import transaction
    from shared.database.tables import tables

    async with transaction(engine) as connection:
        rows = (await connection.execute(select(tables.rejection).order_by(tables.rejection.c.seq.desc()).limit(most))).all()
    return rows[::-1]


async def after(engine: AsyncEngine, sequence: int) -> Sequence[Row[Any]]:
    from shared.database.engine import transaction
    from shared.database.tables import tables

    rejection = tables.rejection
    async with transaction(engine) as connection:
        query = select(rejection).where(rejection.c.seq > sequence).order_by(rejection.c.seq).limit(PAGE)
        return (await connection.execute(query)).all()


def describe(row: Row[Any]) -> str:
    """One line: when, where in the intake, why."""
    at = datetime.fromtimestamp(row.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    where = f"intake {row.intake_seq} line {row.line}" if row.intake_seq is not None else f"event {row.seq}"
    job = f" job {row.job_id}{f' of {row.cluster}' if row.cluster else ''}:" if row.job_id is not None else ""
    field = f" {row.field}:" if row.field else ""
    return f"{at}  {where:<24} {row.code:<20}{job}{field} {' '.join(row.text.split())}"


def run_rejections(data: Path | None, *, most: int, follow: bool) -> None:
    from shared.database.engine import opened

    async def run() -> None:
        async with opened(find_site(data).database, read_only=True) as engine:
            last = 0
            rows = await newest(engine, most)
            while True:
                for row in rows:
                    print(describe(row), flush=True)
                    last = row.seq
                if not follow:
                    if not rows:
                        print("no rejections")
                    return
                await asyncio.sleep(FOLLOW_PAUSE_S)
                try:
                    rows = await after(engine, last)
                except Unavailable:
                    rows = []  # the database is away: go on when it is back

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
            (new,) = await RawPublisher(client).publish([(message.subject, message.data or b"")])
            return message.subject, new

    subject, new = asyncio.run(run())
    print(f"message {sequence} was published again to {subject} as {new}")
