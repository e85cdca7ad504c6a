"""The progress of the projection: readers of its tables need it to wait for an event or to follow changes."""

from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.streams import EVENTS, NODES, REJECTIONS
from shared.database.engine import transaction
from shared.database.tables import tables


@dataclass(frozen=True, slots=True)
class Progress:
    """``build`` counts the rebuilds, ``log`` identifies EVENTS; ``events``, ``nodes`` and ``rejections`` are the last sequences applied.

    While ``build`` and ``log`` stay the same and the sequences do not decrease (as they do when an older backup is restored),
    every row changed after ``events`` or ``nodes`` has a larger ``changed_seq``, and every deleted job has a row in
    ``job_deletion``. Otherwise any row may differ, and a reader must start over.
    """

    build: int = 0
    events: int = 0
    nodes: int = 0
    log: str = ""
    rejections: int = 0

    def follows(self, earlier: "Progress") -> bool:
        """Whether ``changed_seq`` identifies every change since ``earlier``."""
        is_same = (self.build, self.log) == (earlier.build, earlier.log)
        return is_same and self.events >= earlier.events and self.nodes >= earlier.nodes

    def has_applied(self, sequence: int, log: str) -> bool:
        """Whether the event with this sequence of EVENTS took effect; False for another ``log``."""
        return self.log == log and self.events >= sequence


def progress(connection: Connection) -> Progress:
    """One query. Read it before the rows: it is then never ahead of them, and at worst changes in between are read twice.

    In a coroutine: ``await connection.run_sync(progress)`` inside a transaction, or ``progress_of``.
    """
    position = tables.position.c
    rows = connection.execute(select(position.stream, position.sequence, position.build, position.stream_created)).all()
    found = {row.stream: row for row in rows}
    events, nodes, rejections = found.get(EVENTS), found.get(NODES), found.get(REJECTIONS)
    return Progress(
        max((row.build for row in rows), default=0),
        events.sequence if events else 0,
        nodes.sequence if nodes else 0,
        events.stream_created if events else "",
        rejections.sequence if rejections else 0,
    )


async def progress_of(engine: AsyncEngine) -> Progress:
    """Raises Unavailable."""
    async with transaction(engine) as connection:
        return await connection.run_sync(progress)
