"""The loop that keeps the tables of one stream equal to its events: each sequence takes effect exactly once.

The position in the database is authoritative, not the broker: reading starts from it, and it moves in the transaction that
writes the rows. After any error, the loop discards what it has read and starts again from the position.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import LostRace, Position, Positions
from services.jobstore.prometheus import ProjectionNumbers
from services.jobstore.recognition import is_copy
from services.jobstore.rules import Decision
from shared.backoff import Backoff
from shared.broker.cursor import log_state, read_from
from shared.broker.outcome import Outcome
from shared.database.engine import run, transaction
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import JobtideError, LogMismatch, StatementTimedOut, Unavailable
from shared.standstill import Place

log = structlog.get_logger()

MAX_TIMEOUTS = 3  # consecutive timeouts at one position, after which a single event is suspected
MAX_BURIED_IN_A_ROW = 100  # if more consecutive events fail, the events are not the cause

Batch = Sequence[Recorded | Unreadable]


class Applier(Protocol):
    """Turns events into rows, in the caller's transaction, see ``shared.database.engine.run``."""

    def apply(self, connection: Connection, batch: Batch) -> list[Decision]:
        """One decision per event, in order."""

    def bury(self, connection: Connection, record: Recorded | Unreadable, why: str) -> None:
        """Record an event that is readable but cannot be applied, which indicates a bug."""


class Projection:
    """Applies the events of one stream to one set of tables. ``may_skip``: see ``Positions.begin``."""

    def __init__(
        self,
        name: str,
        stream: str,
        applier: Applier,
        positions: Positions,
        client: Client,
        engine: AsyncEngine,
        numbers: ProjectionNumbers,
        *,
        batch: int,
        max_batch_bytes: int | None = None,
        may_skip: bool,
    ) -> None:
        self._name = name
        self._stream = stream
        self._applier = applier
        self._positions = positions
        self._client = client
        self._engine = engine
        self._numbers = numbers
        self._batch = batch
        self._max_batch_bytes = max_batch_bytes
        self._may_skip = may_skip
        self._buried_in_a_row = 0
        self._timeouts = (0, 0)  # the position at which statements timed out, and how many times in a row
        self._at = 0
        self._failure: str | None = None

    def latest_failure(self) -> str | None:
        """The reason why the last attempt to apply events failed; None after a success."""
        return self._failure

    async def place(self) -> Place:
        """The position as far as this replica knows it, and the end of the log. Raises Unavailable."""
        state = await log_state(self._client, self._stream)
        is_empty = state.first_sequence > state.last_sequence  # all events have expired, applied or not
        return Place(self._at, self._at if is_empty else state.last_sequence)

    async def follow(self, stop: asyncio.Event, tick: Callable[[], None], reading: asyncio.Event | None = None) -> None:
        """Apply events until ``stop``. Sets ``reading`` once it reads from the log.

        Raises LogMismatch if the log is not the one that was applied.
        """
        pause = Backoff(first_s=0.2, max_s=5.0)
        while not stop.is_set():
            tick()
            try:
                position = await self._begin()
                self._at = position.sequence
                # Starts with the last applied event: if it is unchanged, this is still the same log.
                async with read_from(self._client, self._stream, position.sequence, applied=position.sequence, stop=stop) as cursor:
                    if reading is not None:
                        reading.set()
                    while not stop.is_set():
                        tick()
                        batch = await cursor.batch(self._batch, self._max_batch_bytes)
                        if batch and batch[0].sequence == position.sequence:
                            self._positions.recognise(position, batch[0])
                            batch = batch[1:]
                        if batch:
                            position = await self._apply(position, batch)
                            self._at = position.sequence
                            self._failure = None
                            pause.reset()
                        else:
                            self._numbers.quiet(self._name)
            except LostRace as e:
                self._failure = str(e)
                log.info("reading_waits", stream=self._name, why=str(e))
                await pause.wait(stop)
            except Unavailable as e:
                self._failure = str(e)
                log.warning("reading_restarts", stream=self._name, why=str(e))
                await pause.wait(stop)

    async def _begin(self) -> Position:
        try:
            return await self._positions.begin(self._engine, lambda: log_state(self._client, self._stream), may_skip=self._may_skip)
        except LogMismatch as e:
            if not await is_copy(self._client, self._engine, self._name, self._stream):
                raise
            text = f"the stream {self._name} is a copy of the log that was applied: run `jobtide provision --adopt` to take it over"
            raise LogMismatch(text) from e

    async def _apply(self, position: Position, batch: Batch) -> Position:
        started = time.perf_counter()
        try:
            decisions, position = await self._commit(position, batch)
            self._buried_in_a_row = 0
        except StatementTimedOut as e:
            if not self._times_out_always(position):
                raise
            log.warning("batch_times_out", stream=self._name, first=batch[0].sequence, last=batch[-1].sequence, why=str(e))
            decisions, position = await self._one_by_one(position, batch, e)
        except LostRace:
            raise
        except Unavailable as e:
            await self._report_delay(batch, str(e))
            raise
        except JobtideError:
            raise
        except Exception as e:
            log.exception("batch_failed", stream=self._name, first=batch[0].sequence, last=batch[-1].sequence)
            decisions, position = await self._one_by_one(position, batch, e)
        await self._answer(batch, decisions)
        self._numbers.batch(self._name, batch, decisions, time.perf_counter() - started)
        return position

    async def _commit(self, position: Position, batch: Batch) -> tuple[list[Decision], Position]:
        return await self._move(position, batch[-1], lambda connection: self._applier.apply(connection, batch))

    async def _move(
        self, position: Position, last: Recorded | Unreadable, work: Callable[[Connection], list[Decision]]
    ) -> tuple[list[Decision], Position]:
        """Write rows, and move the position to ``last``, in one transaction."""
        moved = position.moved_to(last)

        def write(connection: Connection) -> list[Decision]:
            self._positions.hold(connection, position.sequence)
            decisions = work(connection)
            self._positions.advance(connection, position.sequence, moved)
            return decisions

        async with transaction(self._engine) as connection:
            return await run(connection, write), moved

    def _times_out_always(self, position: Position) -> bool:
        at, count = self._timeouts
        count = count + 1 if at == position.sequence else 1
        self._timeouts = (position.sequence, count)
        return count >= MAX_TIMEOUTS

    async def _one_by_one(self, position: Position, batch: Batch, error: Exception) -> tuple[list[Decision], Position]:
        """Apply a failed batch event by event, and bury the event that cannot be applied as a rejection.

        Raises StatementTimedOut for an event whose statements time out, until reading has restarted from it several times.
        """
        decisions: list[Decision] = []
        for index, record in enumerate(batch):
            try:
                done, position = await self._commit(position, [record])
                self._buried_in_a_row = 0
            except StatementTimedOut as e:
                if index > 0:
                    await self._answer(batch[:index], decisions)
                    raise
                log.exception("event_buried", stream=self._name, sequence=record.sequence)
                done, position = await self._bury(position, record, e, error)
            except JobtideError:
                raise
            except Exception as e:
                log.exception("event_buried", stream=self._name, sequence=record.sequence)
                done, position = await self._bury(position, record, e, error)
            decisions += done
        return decisions, position

    async def _bury(
        self, position: Position, record: Recorded | Unreadable, why: Exception, error: Exception
    ) -> tuple[list[Decision], Position]:
        self._buried_in_a_row += 1
        if self._buried_in_a_row > MAX_BURIED_IN_A_ROW:
            raise JobtideError(f"{self._buried_in_a_row} events in a row cannot be applied: {why}") from error

        def bury(connection: Connection) -> list[Decision]:
            self._applier.bury(connection, record, f"{type(why).__name__}: {why}")
            return [Decision("refused", code="internal", text="the event cannot be applied, see the log of jobstore")]

        return await self._move(position, record, bury)

    async def _answer(self, batch: Batch, decisions: Sequence[Decision]) -> None:
        """Send outcomes to the reply addresses. If one is lost, its requester times out; the event stays applied."""
        for record, decision in zip(batch, decisions, strict=True):
            if isinstance(record, Recorded) and record.reply_to:
                outcome = Outcome(sequence=record.sequence, kind=decision.kind, job=decision.job, code=decision.code, text=decision.text)
                await self._send(record.reply_to, outcome)

    async def _report_delay(self, batch: Batch, why: str) -> None:
        """The events stand, and their outcomes follow once the database works."""
        for record in batch:
            if isinstance(record, Recorded) and record.reply_to:
                await self._send(record.reply_to, Outcome(sequence=record.sequence, kind="delayed", text=why))

    async def _send(self, inbox: str, outcome: Outcome) -> None:
        """If it is lost, its requester times out; the event stays applied."""
        try:
            await self._client.publish(inbox, outcome.model_dump_json(by_alias=True).encode())
        except (NatsError, OSError) as e:
            log.warning("answer_not_sent", sequence=outcome.sequence, error=repr(e))
