"""The schema that this version works with. Services look at it without Alembic, which takes a tenth of their start."""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import transaction
from shared.errors import UserError

REVISION = "0004"  # the newest of the migrations


async def revision(engine: AsyncEngine) -> str | None:
    """That of the database, None for an empty one. Raises Unavailable."""

    def look(connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found

    async with transaction(engine) as connection:
        return await connection.run_sync(look)


async def require_schema(engine: AsyncEngine) -> None:
    """Raises UserError when the schema is not the one this version works with."""
    found = await revision(engine)
    if found != REVISION:
        raise UserError(f"the database schema is at {found or 'nothing'}, this version needs {REVISION}; run `jobtide migrate`")
