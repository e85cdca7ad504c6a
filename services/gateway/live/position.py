"""How far the database is."""

import hashlib

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.live.changes import Cursor
from shared.broker.streams import EVENTS, NODES
from shared.database.engine import transaction
from shared.database.tables import tables


async def position(engine: AsyncEngine) -> Cursor:
    """What is applied of both streams. Raises Unavailable."""
    table = tables.position.c
    async with transaction(engine) as connection:
        rows = (await connection.execute(select(table.stream, table.sequence, table.stream_created))).all()
    found = {stream: (sequence, created) for stream, sequence, created in rows}
    events, created = found.get(EVENTS, (0, ""))
    build = hashlib.blake2b(created.encode(), digest_size=6).hexdigest()
    return Cursor(build, events, found.get(NODES, (0, ""))[0])
