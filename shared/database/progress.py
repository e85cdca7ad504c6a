"""How far the projection is, for readers that keep something made of its rows and follow the changes."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.broker.streams import EVENTS, NODES
from shared.database.tables import tables


@dataclass(frozen=True, slots=True)
class Progress:
    """``build`` counts the rebuilds; ``events`` and ``nodes`` are the last sequences applied.

    While ``build`` is the same and the sequences do not go back (as after an older backup was put in place), a row that
    changed since ``events`` or ``nodes`` has a larger ``changed_seq``, and a job that went has a row in ``job_deletion``.
    Otherwise any row may be another: read everything.
    """

    build: int = 0
    events: int = 0
    nodes: int = 0

    def follows(self, earlier: "Progress") -> bool:
        """Whether ``changed_seq`` tells all that happened since ``earlier``."""
        return self.build == earlier.build and self.events >= earlier.events and self.nodes >= earlier.nodes


async def progress(connection: AsyncConnection) -> Progress:
    """One query. Asked before the rows, it is never ahead of them: what comes between is only read twice."""
    position = tables.position.c
    rows = (await connection.execute(select(position.stream, position.sequence, position.build))).all()
    sequences = {row[0]: row[1] for row in rows}
    return Progress(max((row[2] for row in rows), default=0), sequences.get(EVENTS, 0), sequences.get(NODES, 0))
