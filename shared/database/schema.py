"""The schema revision that this version needs. Checked without Alembic, whose import takes a tenth of a service's start."""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import transaction
from shared.errors import UserError

REVISION = "0004"  # the latest migration


async def revision(engine: AsyncEngine) -> str | None:
    """The revision of the database, or None for an empty one. Raises Unavailable."""

    def look(connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found

    async with transaction(engine) as connection:
        return await connection.run_sync(look)


async def require_schema(engine: AsyncEngine) -> None:
    """Raises UserError when the schema has another revision."""
    found = await revision(engine)
    if found != REVISION:
        raise UserError(f"the database schema is at {found or 'nothing'}, this version needs {REVISION}; run `jobtide migrate`")
