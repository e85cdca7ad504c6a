"""How far the database is."""

import hashlib

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.live.changes import Cursor
from shared.broker.streams import EVENTS, NODES
from shared.database.reading import read
from shared.database.tables import tables


async def position(engine: AsyncEngine) -> Cursor:
    """What is applied of both streams. Its build is made of the log and of how often the tables were rebuilt from it.

    Raises Unavailable.
    """
    table = tables.position.c
    statement = select(table.stream, table.sequence, table.stream_created, table.build)
    rows = await read(engine, lambda connection: connection.execute(statement).all())
    found = {row.stream: row for row in rows}
    events, nodes = found.get(EVENTS), found.get(NODES)
    build = hashlib.blake2b(repr(events and (events.stream_created, events.build)).encode(), digest_size=6).hexdigest()
    return Cursor(build, events.sequence if events else 0, nodes.sequence if nodes else 0)
