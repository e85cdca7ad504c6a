"""The loop that keeps the tables of one stream equal to its events: each sequence takes effect exactly once.

The position in the database decides, not the broker: reading starts from it, and it moves in the transaction that
writes the rows. Whatever goes wrong, the reading is thrown away and begins again from the position.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.jobstore.numbers import ProjectionNumbers
from services.jobstore.position import LostRace, Position, Positions
from services.jobstore.rules import Decision
from shared.backoff import Backoff
from shared.broker.cursor import log_state, read_from
from shared.broker.outcome import Outcome
from shared.database.engine import transaction
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import JobtideError, Unavailable
from shared.standstill import Place

log = structlog.get_logger()

MAX_BURIED_IN_A_ROW = 100  # a fault that hits every event is not the events' fault

Batch = Sequence[Recorded | Unreadable]


class Applier(Protocol):
    """Turns events into rows, in the caller's transaction."""

    async def apply(self, connection: AsyncConnection, batch: Batch) -> list[Decision]: ...

    async def bury(self, connection: AsyncConnection, record: Recorded | Unreadable, why: str) -> None: ...


class Projection:
    """One stream's events to one set of tables. ``may_skip``: see ``Positions.begin``."""

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
        self._may_skip = may_skip
        self._buried_in_a_row = 0
        self._at = 0
        self._failure: str | None = None

    def latest_failure(self) -> str | None:
        """Why the last attempt to apply events failed; None after a success."""
        return self._failure

    async def place(self) -> Place:
        """The position as far as this replica knows it, and the end of the log. Raises Unavailable."""
        state = await log_state(self._client, self._stream)
        is_empty = state.first_sequence > state.last_sequence  # everything has expired, read or not
        return Place(self._at, self._at if is_empty else state.last_sequence)

    async def follow(self, stop: asyncio.Event, tick: Callable[[], None], reading: asyncio.Event | None = None) -> None:
        """Apply events until ``stop``; ``reading`` is set once the first reading has begun.

        Raises LogMismatch when the log is not the one in the database.
        """
        pause = Backoff(first_s=0.2, most_s=5.0)
        while not stop.is_set():
            tick()
            try:
                position = await self._positions.begin(self._engine, lambda: log_state(self._client, self._stream), may_skip=self._may_skip)
                self._at = position.sequence
                # From the last applied one on: that it is still the same shows that the log is.
                async with read_from(self._client, self._stream, position.sequence, applied=position.sequence, stop=stop) as cursor:
                    if reading is not None:
                        reading.set()
                    while not stop.is_set():
                        tick()
                        batch = await cursor.batch(self._batch)
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

    async def _apply(self, position: Position, batch: Batch) -> Position:
        started = time.perf_counter()
        try:
            decisions, position = await self._commit(position, batch)
            self._buried_in_a_row = 0
        except JobtideError:
            raise
        except Exception as e:
            log.exception("batch_failed", stream=self._name, first=batch[0].sequence, last=batch[-1].sequence)
            decisions, position = await self._one_by_one(position, batch, e)
        await self._answer(batch, decisions)
        self._numbers.batch(self._name, batch, decisions, time.perf_counter() - started)
        return position

    async def _commit(self, position: Position, batch: Batch) -> tuple[list[Decision], Position]:
        async with transaction(self._engine) as connection:
            await self._positions.hold(connection, position.sequence)
            decisions = await self._applier.apply(connection, batch)
            return decisions, await self._advance(connection, position, batch)

    async def _advance(self, connection: AsyncConnection, position: Position, batch: Batch) -> Position:
        moved = Position(batch[-1].sequence, position.created, batch[-1].time)
        await self._positions.advance(connection, position.sequence, moved.sequence, moved.event_time)
        return moved

    async def _one_by_one(self, position: Position, batch: Batch, error: Exception) -> tuple[list[Decision], Position]:
        """One event of the batch cannot be applied: find it, bury it visibly, and let its neighbours through."""
        decisions: list[Decision] = []
        for record in batch:
            try:
                done, position = await self._commit(position, [record])
                self._buried_in_a_row = 0
            except JobtideError:
                raise
            except Exception as e:
                self._buried_in_a_row += 1
                if self._buried_in_a_row > MAX_BURIED_IN_A_ROW:
                    raise JobtideError(f"{self._buried_in_a_row} events in a row cannot be applied: {e}") from error
                log.exception("event_buried", stream=self._name, sequence=record.sequence)
                async with transaction(self._engine) as connection:
                    await self._positions.hold(connection, position.sequence)
                    await self._applier.bury(connection, record, f"{type(e).__name__}: {e}")
                    position = await self._advance(connection, position, [record])
                done = [Decision("refused", code="internal", text="the event cannot be applied, see the log of jobstore")]
            decisions += done
        return decisions, position

    async def _answer(self, batch: Batch, decisions: Sequence[Decision]) -> None:
        """Tell whoever waits; an answer that is lost is the waiter's timeout, the event stands."""
        for record, decision in zip(batch, decisions, strict=True):
            if isinstance(record, Recorded) and record.reply_to:
                outcome = Outcome(sequence=record.sequence, kind=decision.kind, job=decision.job, code=decision.code, text=decision.text)
                try:
                    await self._client.publish(record.reply_to, outcome.model_dump_json(by_alias=True).encode())
                except (NatsError, OSError) as e:
                    log.warning("answer_not_sent", sequence=record.sequence, error=repr(e))
