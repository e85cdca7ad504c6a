"""How far a stream has been applied. The position moves by compare-and-set in the transaction that writes the rows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.broker.cursor import LogState
from shared.database.dialects import dialect_of
from shared.database.engine import transaction
from shared.database.schema import RULES
from shared.database.tables import ProjectionTables
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import LogMismatch, Unavailable

SAME_TIME_S = 0.001  # event times have millisecond precision
MAX_ID = 300


class LostRace(Unavailable):
    """Another replica moved the position first."""


@dataclass(frozen=True, slots=True)
class Position:
    """``created`` identifies the stream that ``sequence`` belongs to; the other fields identify the event at that sequence.

    Times are Unix seconds: that of the event, and when the stream stored it. 0 and "" mean unknown.
    """

    sequence: int
    created: str
    event_time: float = 0.0
    message_id: str = ""
    log_time: float = 0.0

    def is_of(self, record: Recorded | Unreadable) -> bool:
        """Whether ``record`` is the event that was applied last. True if the position does not identify its event."""
        if not self.event_time:
            return True
        is_same_id = not self.message_id or self.message_id == _stored_id(record)
        return is_same_id and abs(record.time - self.event_time) <= SAME_TIME_S

    def moved_to(self, record: Recorded | Unreadable) -> "Position":
        """The position after ``record``."""
        return Position(record.sequence, self.created, record.time, _stored_id(record), record.log_time)


def _stored_id(record: Recorded | Unreadable) -> str:
    """The message id in a form that both databases can store; other publishers may use any bytes."""
    return record.message_id[:MAX_ID].replace("\0", "\ufffd")


class Positions:
    """Reads and moves one row of the position table. ``stream`` is one of ``LOGS``, regardless of its name on the broker."""

    def __init__(self, tables: ProjectionTables, stream: str) -> None:
        self._table = tables.position
        self._stream = stream

    async def get(self, connection: AsyncConnection, *, lock: bool = False) -> Position | None:
        """With ``lock``, no other replica can move it until the transaction ends."""
        return await connection.run_sync(self._get, lock=lock)

    def _get(self, connection: Connection, *, lock: bool) -> Position | None:
        table = self._table
        columns = table.c.sequence, table.c.stream_created, table.c.event_time, table.c.message_id, table.c.log_time
        statement = select(*columns).where(table.c.stream == self._stream)
        row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
        return None if row is None else Position(row[0], row[1], row[2], row[3] or "", row[4])

    async def begin(self, engine: AsyncEngine, ask_log: Callable[[], Awaitable[LogState]], *, may_skip: bool) -> Position:
        """The position to continue reading from. Raises LogMismatch if the log is not the one that was applied.

        With ``may_skip``, events that expired before they were applied are skipped without an error.
        The log is queried after the database: another replica may move the position in between, but never past the log.
        """
        async with transaction(engine) as connection:
            position = await self.get(connection)
        log = await ask_log()
        if position is None:
            async with transaction(engine) as connection:
                await connection.execute(
                    dialect_of(connection)
                    .insert_or_ignore(self._table)
                    .values(
                        stream=self._stream,
                        sequence=log.began_at - 1,
                        stream_created=log.created,
                        event_time=0.0,
                        message_id="",
                        rules=RULES,
                    )
                )
                position = await self.get(connection)
            assert position is not None
        self._check(position, log, may_skip=may_skip)
        return position

    def _check(self, position: Position, log: LogState, *, may_skip: bool) -> None:
        if position.created != log.created:
            raise LogMismatch(
                f"the stream {self._stream} was recreated (created {log.created}, expected {position.created}):"
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
        """``record`` is the event at the position in the log. Raises LogMismatch if it is not the event that was applied."""
        if not position.is_of(record):
            raise LogMismatch(
                f"the stream {self._stream} has a different event at {position.sequence} than the one that was applied:"
                " it was restored from an older copy and continued; restore the stream, or run `jobtide provision --continue-log`"
            )

    def hold(self, connection: Connection, expected: int) -> Position:
        """Lock the position for this transaction. Raises LostRace if it is not ``expected``."""
        position = self._get(connection, lock=True)
        if position is None or position.sequence != expected:
            raise LostRace(f"{self._stream}: another replica is at {position and position.sequence}, not {expected}")
        return position

    def advance(self, connection: Connection, expected: int, moved: Position) -> None:
        """Raises LostRace."""
        table = self._table
        to_move = update(table).where(table.c.stream == self._stream, table.c.sequence == expected)
        result = connection.execute(to_move.values(_event_columns(moved)))
        if result.rowcount != 1:
            raise LostRace(f"{self._stream}: the position is no longer {expected}")

    async def put(self, connection: AsyncConnection, position: Position) -> None:
        """Set the position unconditionally, for a rebuild or a continued log. New tables get the current version of the rules."""
        table = self._table
        values = {"stream_created": position.created, **_event_columns(position)}
        result = await connection.execute(update(table).where(table.c.stream == self._stream).values(values))
        if result.rowcount == 0:
            await connection.execute(insert(table).values(stream=self._stream, rules=RULES, **values))


def _event_columns(position: Position) -> dict[str, Any]:
    return {
        "sequence": position.sequence,
        "event_time": position.event_time,
        "message_id": position.message_id,
        "log_time": position.log_time,
    }
