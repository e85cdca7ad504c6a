"""Alembic environment: runs on the connection that ``shared.database.migrate`` hands over."""

from alembic import context

from shared.database.migrations import mariadb as _mariadb  # noqa: F401 - declares what Alembic is to do there
from shared.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite", transactional_ddl=True
)
context.run_migrations()
