"""The schema revision that this version needs. Checked without Alembic, whose import takes a tenth of a service's start."""

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import transaction
from shared.database.tables import tables
from shared.errors import UserError

REVISION = "0015"  # the latest migration
RULES = 6  # incremented when the same log gives different rows: tables built with older rules need a rebuild


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


async def older_rules(engine: AsyncEngine) -> str | None:
    """The remedy for tables built with older rules, whose rows may differ from what the log gives now, or None. Raises Unavailable."""
    async with transaction(engine) as connection:
        found = await connection.scalar(select(func.min(tables.position.c.rules)))
    if found is None or found >= RULES:
        return None
    return f"the tables began with version {found} of the rules, the present one is {RULES}: run `jobtide rebuild`"


async def require_present_rules(engine: AsyncEngine) -> None:
    """Raises UserError for tables built with older rules, and Unavailable."""
    if (why := await older_rules(engine)) is not None:
        raise UserError(why)
