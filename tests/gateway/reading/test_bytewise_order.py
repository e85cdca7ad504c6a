"""Names are ordered by their bytes, whatever locale the database was created with."""

from typing import Any

from sqlalchemy import event, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.people.users.store import UserStore
from services.gateway.reading.nodes import NodeFilter, NodeQueries
from services.jobstore.appliers.nodes import NodesApplier
from shared.database.engine import opened, transaction
from shared.database.tables import hpc_user, tables
from shared.domain.recorded import Recorded
from shared.settings import DatabaseSettings
from tests.gateway.rows import every_node
from tests.support.builders import nodes_reported
from tests.support.fixtures import any_database

database = any_database

HOSTS = ["n-2", "N1", "n1", "n10", "n2", "\u00e91", "a", "B"]
IN_BYTES = sorted(HOSTS, key=str.encode)


def orders(engine: AsyncEngine) -> list[str]:
    """The ORDER BY clauses of statements that are run from now on."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "ORDER BY" in statement:
            found.append(statement.rpartition("ORDER BY")[2])

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    return found


async def test_nodes_are_ordered_by_the_bytes_of_their_names(database: DatabaseSettings) -> None:
    async with opened(database) as engine:
        async with transaction(engine) as connection:
            report = Recorded(1, nodes_reported("fritz", dict.fromkeys(HOSTS, "idle")), 1e9, stored_at=1e9)
            await connection.run_sync(NodesApplier(tables, history_s=60, unchanged_s=60).apply, [report])
        clauses = orders(engine)
        assert [row.hostname for row in await NodeQueries(engine, every_node(engine)).all([NodeFilter()])] == IN_BYTES
        await NodeQueries(engine, every_node(engine)).count([NodeFilter()], "node")
        assert_independent_of_the_locale(engine, clauses, 2)


async def test_users_are_ordered_by_the_bytes_of_their_names(database: DatabaseSettings) -> None:
    async with opened(database) as engine:
        async with transaction(engine) as connection:
            await connection.execute(insert(hpc_user), [{"username": name} for name in HOSTS])
        clauses = orders(engine)
        assert [account.name for account in await UserStore(engine, engine).all()] == IN_BYTES
        assert_independent_of_the_locale(engine, clauses, 1)


def assert_independent_of_the_locale(engine: AsyncEngine, clauses: list[str], count: int) -> None:
    """The test's PostgreSQL has the locale C, so its result alone shows nothing. SQLite compares bytes."""
    assert len(clauses) == count
    if engine.dialect.name == "postgresql":
        assert all('COLLATE "C"' in clause for clause in clauses), clauses
