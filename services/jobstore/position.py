"""How far a stream has been applied, moved by compare-and-set in the transaction that writes the rows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.jobstore.sql import insert_or_ignore
from shared.broker.cursor import LogState
from shared.database.engine import transaction
from shared.database.tables import ProjectionTables
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import LogMismatch, Unavailable

SAME_TIME_S = 0.001  # event times have millisecond precision


class LostRace(Unavailable):
    """Another replica moved the position first."""


@dataclass(frozen=True, slots=True)
class Position:
    """``created`` identifies the stream that ``sequence`` belongs to."""

    sequence: int
    created: str
    event_time: float


class Positions:
    """Reads and moves one row of the position table. ``stream`` is EVENTS or NODES, regardless of its name on the broker."""

    def __init__(self, tables: ProjectionTables, stream: str) -> None:
        self._table = tables.position
        self._stream = stream

    async def get(self, connection: AsyncConnection, *, lock: bool = False) -> Position | None:
        """With ``lock``, no other replica can move it until the transaction ends."""
        table = self._table
        statement = select(table.c.sequence, table.c.stream_created, table.c.event_time).where(table.c.stream == self._stream)
        row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else Position(row[0], row[1], row[2])

    async def begin(self, engine: AsyncEngine, ask_log: Callable[[], Awaitable[LogState]], *, may_skip: bool) -> Position:
        """The position to continue reading from. Raises LogMismatch when the log is not the one that was applied.

        ``may_skip``: events that left the stream before they were applied are no loss, and are passed over.
        The log is asked after the database: another replica may move the position meanwhile, but never past the log.
        """
        async with transaction(engine) as connection:
            position = await self.get(connection)
        log = await ask_log()
        if position is None:
            async with transaction(engine) as connection:
                await connection.execute(
                    insert_or_ignore(connection, self._table).values(
                        stream=self._stream, sequence=0, stream_created=log.created, event_time=0.0
                    )
                )
                position = await self.get(connection)
            assert position is not None
        self._check(position, log, may_skip=may_skip)
        return position

    def _check(self, position: Position, log: LogState, *, may_skip: bool) -> None:
        if position.created != log.created:
            raise LogMismatch(
                f"the stream {self._stream} was recreated (created {log.created}, the database knows {position.created}):"
                " restore the stream, or run `jobtide provision --continue-log`"
            )
        if log.last_sequence < position.sequence:
            raise LogMismatch(
                f"the stream {self._stream} ends at {log.last_sequence}, but the database has applied {position.sequence}:"
                " restore the stream, or run `jobtide provision --continue-log`"
            )
        if log.first_sequence > position.sequence + 1 and not may_skip:
            raise LogMismatch(
                f"the stream {self._stream} begins at {log.first_sequence}, but the database has applied only {position.sequence}:"
                " events are missing, run `jobtide rebuild`"
            )

    def recognise(self, position: Position, record: Recorded | Unreadable) -> None:
        """``record`` is the event at the position in the log. Raises LogMismatch when a different event was applied there."""
        if position.event_time and abs(record.time - position.event_time) > SAME_TIME_S:
            raise LogMismatch(
                f"the stream {self._stream} has another event at {position.sequence} than the one that was applied:"
                " it went on after older data were put back; restore the stream, or run `jobtide provision --continue-log`"
            )

    async def hold(self, connection: AsyncConnection, expected: int) -> Position:
        """Lock the position for this transaction; raises LostRace when it is not ``expected``."""
        position = await self.get(connection, lock=True)
        if position is None or position.sequence != expected:
            raise LostRace(f"{self._stream}: another replica is at {position and position.sequence}, not {expected}")
        return position

    async def advance(self, connection: AsyncConnection, expected: int, to: int, event_time: float) -> None:
        """Raises LostRace."""
        table = self._table
        result = await connection.execute(
            update(table).where(table.c.stream == self._stream, table.c.sequence == expected).values(sequence=to, event_time=event_time)
        )
        if result.rowcount != 1:
            raise LostRace(f"{self._stream}: the position is no longer {expected}")

    async def put(self, connection: AsyncConnection, position: Position) -> None:
        """Set the position unconditionally, for a rebuild or a continued log."""
        table = self._table
        values = {"sequence": position.sequence, "stream_created": position.created, "event_time": position.event_time}
        result = await connection.execute(update(table).where(table.c.stream == self._stream).values(values))
        if result.rowcount == 0:
            await connection.execute(insert(table).values(stream=self._stream, **values))
