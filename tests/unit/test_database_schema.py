"""The migrations create the declared tables, on both engines."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text

from shared.database.engine import async_url, opened, ping, transaction
from shared.database.migrate import head, migrate
from shared.database.progress import progress_of
from shared.database.schema import REVISION, require_schema, revision
from shared.database.tables import metadata
from shared.errors import Unavailable, UserError
from shared.settings import DatabaseSettings


async def test_the_migrations_equal_the_declared_tables(database: DatabaseSettings) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with opened(database) as engine, transaction(engine) as connection:
        assert await connection.run_sync(differences) == []


async def test_every_declared_index_and_constraint_exists(database: DatabaseSettings) -> None:
    def names(connection: Connection) -> dict[str, tuple[set[str | None], list[str]]]:
        found = inspect(connection)
        return {
            table: ({index["name"] for index in found.get_indexes(table)}, found.get_pk_constraint(table)["constrained_columns"])
            for table in found.get_table_names()
        }

    async with opened(database) as engine, transaction(engine) as connection:
        found = await connection.run_sync(names)
    for table in metadata.sorted_tables:
        indexes, key = found[table.name]
        assert {index.name for index in table.indexes} <= indexes
        assert key == [column.name for column in table.primary_key.columns]


async def test_the_revision_is_the_newest_migration(database: DatabaseSettings) -> None:
    assert head() == REVISION
    async with opened(database, read_only=True) as engine:
        assert await revision(engine) == REVISION


async def test_migrating_again_changes_nothing(database: DatabaseSettings) -> None:
    async with opened(database) as engine:
        assert await migrate(engine) == (head(), head())
        await require_schema(engine)


async def test_concurrent_migrations_are_safe(tmp_path: Any) -> None:
    settings = DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/new.db"))
    async with opened(settings) as one, opened(settings) as other:
        results = await asyncio.gather(migrate(one), migrate(other))
        assert sorted(results, key=str) == sorted([(None, head()), (head(), head())], key=str)
        await require_schema(one)


async def test_a_reader_waits_for_a_file_that_somebody_has_locked(tmp_path: Any) -> None:
    path = tmp_path / "locked.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        settings = DatabaseSettings(url=SecretStr(f"sqlite:///{path}"), timeout_s=0.2)
        async with opened(settings, read_only=True) as engine:
            with pytest.raises(Unavailable):
                await ping(engine)
            other.execute("ROLLBACK")
            await ping(engine)


async def test_a_different_schema_is_refused_with_the_remedy(tmp_path: Any) -> None:
    async with opened(DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/empty.db"))) as engine:
        with pytest.raises(UserError, match="jobtide migrate"):
            await require_schema(engine)


async def test_a_fresh_database_is_at_position_zero(database: DatabaseSettings) -> None:
    async with opened(database, read_only=True) as engine:
        await ping(engine)
        assert (await progress_of(engine)).events == 0


async def test_a_reader_cannot_write(database: DatabaseSettings) -> None:
    async with opened(database, read_only=True) as engine:
        with pytest.raises(Exception, match=r"read.?only|readonly"):
            async with transaction(engine) as connection:
                await connection.execute(
                    text("INSERT INTO position (stream, sequence, stream_created, event_time) VALUES ('X', 1, 'x', 0)")
                )


async def test_a_database_that_is_down_is_unavailable() -> None:
    async with opened(DatabaseSettings(url=SecretStr("postgresql://u:p@127.0.0.1:1/none"), timeout_s=2)) as engine:
        with pytest.raises(Unavailable):
            await ping(engine)


@pytest.mark.parametrize("url", ["oracle://x/y", "nonsense", ""])
def test_other_kinds_of_databases_are_refused(url: str) -> None:
    with pytest.raises(UserError, match="JOBTIDE_DATABASE_URL"):
        async_url(DatabaseSettings(url=SecretStr(url)))
