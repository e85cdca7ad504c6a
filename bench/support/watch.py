"""When events became visible: the position moves in the transaction that writes the rows."""

import asyncio
import bisect
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.support.database import Reader, reading
from shared.settings import DatabaseSettings

_POSITION = "SELECT sequence FROM position WHERE stream = 'EVENTS'"


@dataclass(slots=True)
class Positions:
    """Every position seen, with the time when it was first seen, Unix seconds."""

    sequences: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    resolution_s: float = 0.0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def last(self) -> int:
        return self.sequences[-1] if self.sequences else 0

    def seen_at(self, sequence: int) -> float:
        """When ``sequence`` was first seen as applied; that is at most one resolution late. Raises IndexError before."""
        return self.times[bisect.bisect_left(self.sequences, sequence)]

    async def reached(self, sequence: int, deadline_s: float) -> float:
        """Wait for it; the time when it was seen. Raises TimeoutError with the position it stands at."""
        try:
            async with asyncio.timeout(deadline_s), self.changed:
                await self.changed.wait_for(lambda: self.last >= sequence)
        except TimeoutError as e:
            raise TimeoutError(f"the position stands at {self.last}, {sequence} was not reached in {deadline_s:g} s") from e
        return self.seen_at(sequence)

    async def follow(self, reader: Reader, every_s: float) -> None:
        looked, turns, began = 0.0, 0, time.monotonic()
        while True:
            rows = await reader.rows(_POSITION)
            looked, turns = time.time(), turns + 1
            if rows and rows[0][0] > self.last:
                async with self.changed:
                    self.sequences.append(rows[0][0])
                    self.times.append(looked)
                    self.changed.notify_all()
            self.resolution_s = (time.monotonic() - began) / turns
            await asyncio.sleep(every_s)


@asynccontextmanager
async def watching(database: DatabaseSettings, every_s: float = 0.01) -> AsyncIterator[Positions]:
    """Positions are looked at every ``every_s`` during the block."""
    positions = Positions()
    async with reading(database) as reader:
        task = asyncio.create_task(positions.follow(reader, every_s), name="watch")
        try:
            yield positions
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
