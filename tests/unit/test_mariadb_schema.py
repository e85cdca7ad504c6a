"""MariaDB has no transactions over changes of tables: an empty database gets the present ones, at once or when it is tried again."""

import asyncio

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Text, insert, inspect, select, text

from shared.database.engine import opened, transaction
from shared.database.migrate import head, migrate
from shared.database.schema import require_schema
from shared.database.tables import api_token, metadata
from shared.database.types import Name
from shared.errors import StatementTimedOut, Unavailable
from shared.settings import DatabaseSettings
from tests.support.databases import settings_of
from tests.support.mariadb import MariaDbServer


def _names(connection: Connection) -> dict[str, tuple[list[str], set[str | None], list[str]]]:
    found = inspect(connection)
    return {
        name: (
            [column["name"] for column in found.get_columns(name)],
            {index["name"] for index in found.get_indexes(name)},
            found.get_pk_constraint(name)["constrained_columns"],
        )
        for name in found.get_table_names()
    }


async def test_the_tables_are_the_declared_ones(mariadb_database: DatabaseSettings) -> None:
    async with opened(mariadb_database) as engine, transaction(engine) as connection:
        found = await connection.run_sync(_names)
    assert found.keys() == {*metadata.tables, "alembic_version"}
    for table in metadata.sorted_tables:
        columns, indexes, key = found[table.name]
        assert columns == [column.name for column in table.columns]
        assert {index.name for index in table.indexes} <= indexes
        assert key == [column.name for column in table.primary_key.columns]


async def test_a_migration_that_broke_off_is_completed_and_two_at_once_are_safe(mariadb_server: MariaDbServer) -> None:
    await asyncio.to_thread(mariadb_server.execute, "DROP DATABASE IF EXISTS broken", "CREATE DATABASE broken")
    settings = settings_of(f"{mariadb_server.url}/broken")
    async with opened(settings, maintenance=True) as one, opened(settings, maintenance=True) as other:
        async with transaction(one) as connection:
            await connection.run_sync(metadata.tables["job"].create)
        results = await asyncio.gather(migrate(one), migrate(other))
        assert sorted(results, key=str) == sorted([(None, head()), (head(), head())], key=str)
        await require_schema(one)
        assert await migrate(one) == (head(), head())


async def test_a_migration_keeps_the_rows_and_goes_on_where_one_broke_off(mariadb_database: DatabaseSettings) -> None:
    token = {"id": "t", "username": "u", "roles": "[]", "label": "", "for_program": 0, "issued": 1, "issued_by": "a", "expires": None}
    async with opened(mariadb_database, maintenance=True) as engine:
        async with transaction(engine) as connection:
            declared = await connection.run_sync(_names)
            await connection.execute(insert(api_token), [token | {"wall": None}])
        for undone in (["ALTER TABLE api_token DROP COLUMN wall"], []):  # without the last column, and without the record that it is there
            async with transaction(engine) as connection:
                for statement in [*undone, "UPDATE alembic_version SET version_num = '0013'"]:
                    await connection.execute(text(statement))
            assert await migrate(engine) == ("0013", head())
            async with transaction(engine) as connection:
                assert await connection.run_sync(_names) == declared
                assert [dict(row) for row in (await connection.execute(select(api_token))).mappings()] == [token | {"wall": None}]


def _change(connection: Connection) -> None:
    """What migrations do."""
    changes = Operations(MigrationContext.configure(connection))
    changes.add_column("node", Column("added", Text(), nullable=False, server_default="x"))
    changes.create_index("node_added", "node", ["time_stamp"])
    changes.create_table("added", Column("name", Name(), primary_key=True), Column("value", Text()))


async def test_the_changes_of_a_migration_may_be_repeated(mariadb_database: DatabaseSettings) -> None:
    async with opened(mariadb_database, maintenance=True) as engine:
        for _ in range(2):
            async with transaction(engine) as connection:
                await connection.run_sync(_change)
        async with transaction(engine) as connection:
            found = await connection.run_sync(_names)
    assert "added" in found["node"][0]
    assert "node_added" in found["node"][1]
    assert found["added"] == (["name", "value"], set(), ["name"])


async def test_texts_that_differ_in_case_accents_or_blanks_are_different(mariadb_database: DatabaseSettings) -> None:
    names = ["a", "A", "\u00e4", "a ", "a\\", "\U0001f600", "'\"`"]
    async with opened(mariadb_database) as engine:
        async with transaction(engine) as connection:
            for name in names:
                await connection.execute(text("INSERT INTO site_text (name, value) VALUES (:name, :name)"), {"name": name})
        async with transaction(engine) as connection:
            found = (await connection.scalars(text("SELECT name FROM site_text ORDER BY name"))).all()
    assert found == sorted(names, key=str.encode)


async def test_errors_say_whether_the_database_or_the_statement_is_at_fault(mariadb_database: DatabaseSettings) -> None:
    quick = mariadb_database.model_copy(update={"timeout_s": 5.0})
    async with opened(quick) as engine:
        with pytest.raises(StatementTimedOut):
            async with transaction(engine) as connection:
                await connection.execute(text("SELECT count(*) FROM seq_1_to_10000000 a, seq_1_to_10000000 b"))
        for statement in ("SELECT nothing FROM job", "INSERT INTO site_text (name, value) VALUES (repeat('x', 300), '')"):
            with pytest.raises(Exception, match=r"nothing|too long") as caught:
                async with transaction(engine) as connection:
                    await connection.execute(text(statement))
            assert not isinstance(caught.value, Unavailable)
    async with opened(settings_of("mysql://u:p@127.0.0.1:1/none")) as engine:
        with pytest.raises(Unavailable):
            async with transaction(engine) as connection:
                await connection.execute(text("SELECT 1"))


async def test_a_reader_cannot_write(mariadb_database: DatabaseSettings) -> None:
    async with opened(mariadb_database, read_only=True) as engine:
        with pytest.raises(Exception, match="READ ONLY transaction"):
            async with transaction(engine) as connection:
                await connection.execute(text("INSERT INTO site_text (name, value) VALUES ('x', 'x')"))
