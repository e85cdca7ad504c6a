"""Schema migrations with Alembic."""

import asyncio
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.dialects import dialect_of
from shared.database.engine import transaction
from shared.database.tables import metadata
from shared.settings import DatabaseSettings


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("shared.database") / "migrations"))
    return config


def head() -> str:
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert revision is not None
    return revision


async def migrate(engine: AsyncEngine) -> tuple[str | None, str]:
    """Upgrade to the newest schema, in one transaction; returns the revisions before and after. Safe to run twice at once."""

    def upgrade(connection: Connection) -> str | None:
        dialect = dialect_of(connection)
        with dialect.migrating(connection):
            before = MigrationContext.configure(connection).get_current_revision()
            if before != head():
                config = alembic_config()
                config.attributes["connection"] = connection
                if before is None and dialect.begins_at_present_schema:
                    metadata.create_all(connection)  # leaves tables as they are that are there, so that it can be repeated
                    command.stamp(config, "head")
                else:
                    command.upgrade(config, "head")
            return before

    async with transaction(engine) as connection:
        before = await connection.run_sync(upgrade)
    return before, head()


def migrate_blocking(settings: DatabaseSettings) -> tuple[str | None, str]:
    """``migrate`` without an event loop, for the command line."""
    from shared.database.engine import opened

    async def run() -> tuple[str | None, str]:
        async with opened(settings, maintenance=True) as engine:
            return await migrate(engine)

    return asyncio.run(run())
