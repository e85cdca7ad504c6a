"""How far the projection is, for readers that keep something made of its rows and follow the changes."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shared.broker.streams import EVENTS, NODES
from shared.database.tables import tables


@dataclass(frozen=True, slots=True)
class Progress:
    """``build`` counts the rebuilds, ``log`` is the identity of EVENTS; ``events`` and ``nodes`` are the last sequences applied.

    While ``build`` and ``log`` are the same and the sequences do not go back (as after an older backup was put in place),
    a row that changed since ``events`` or ``nodes`` has a larger ``changed_seq``, and a job that went has a row in
    ``job_deletion``. Otherwise any row may be another: read everything.
    """

    build: int = 0
    events: int = 0
    nodes: int = 0
    log: str = ""

    def follows(self, earlier: "Progress") -> bool:
        """Whether ``changed_seq`` tells all that happened since ``earlier``."""
        is_same = (self.build, self.log) == (earlier.build, earlier.log)
        return is_same and self.events >= earlier.events and self.nodes >= earlier.nodes


def progress(connection: Connection) -> Progress:
    """One query. Asked before the rows, it is never ahead of them: what comes between is only read twice."""
    position = tables.position.c
    rows = connection.execute(select(position.stream, position.sequence, position.build, position.stream_created)).all()
    found = {row.stream: row for row in rows}
    events, nodes = found.get(EVENTS), found.get(NODES)
    return Progress(
        max((row.build for row in rows), default=0),
        events.sequence if events else 0,
        nodes.sequence if nodes else 0,
        events.stream_created if events else "",
    )
