"""What a MariaDB server says when it cannot do something, and what follows from it; servers on which jobtide does not run."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import bindparam, insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.dialects.mariadb import StatementTooLarge
from shared.database.engine import opened, ping, repeats_lost, transaction
from shared.database.migrate import migrate
from shared.database.tables import sign_in_attempt
from shared.errors import UserError
from shared.settings import DatabaseSettings
from tests.support.databases import query, settings_of
from tests.support.mariadb import MariaDbServer

ADD_ONE = update(sign_in_attempt).where(sign_in_attempt.c.key == bindparam("key_")).values(full_at=sign_in_attempt.c.full_at + 1)


async def test_a_statement_larger_than_a_packet_is_at_fault_and_the_database_is_not(mariadb_database: DatabaseSettings) -> None:
    async with opened(mariadb_database) as engine:
        for size in (17 << 20, 40 << 20):  # in one packet, and in several
            with pytest.raises(StatementTooLarge, match=r"larger than the server's max_allowed_packet, 16777216$"):
                async with transaction(engine) as connection:
                    await connection.execute(text("INSERT INTO site_text (name, value) VALUES ('x', :text)"), {"text": "x" * size})
            await ping(engine)


@pytest.mark.parametrize("engine_name", ["mariadb", "postgresql"])
async def test_a_transaction_that_is_lost_in_a_deadlock_is_repeated(engine_name: str, request: pytest.FixtureRequest) -> None:
    database: DatabaseSettings = request.getfixturevalue({"mariadb": "mariadb_database", "postgresql": "postgres_database"}[engine_name])
    database = database.model_copy(update={"timeout_s": 60.0})  # the wait for a lock ends with the deadlock, not before
    holds = {"a": asyncio.Event(), "b": asyncio.Event()}
    tries: list[str] = []

    @repeats_lost
    async def work(engine: AsyncEngine, first: str, second: str) -> None:
        tries.append(first)
        async with transaction(engine) as connection:
            await connection.execute(ADD_ONE, {"key_": first})
            holds[first].set()
            await asyncio.wait_for(holds[second].wait(), 30)
            await connection.execute(ADD_ONE, {"key_": second})

    async with opened(database) as engine:
        async with transaction(engine) as connection:
            await connection.execute(insert(sign_in_attempt), [{"key": key, "full_at": 0} for key in holds])
        await asyncio.gather(work(engine, "a", "b"), work(engine, "b", "a"))
    assert await query(database, "SELECT full_at FROM sign_in_attempt") == [(2,), (2,)]
    assert sorted(tries) in (["a", "a", "b"], ["a", "b", "b"])


async def test_a_cancellation_that_arrives_with_an_answer_is_not_lost(mariadb_database: DatabaseSettings) -> None:
    async with opened(mariadb_database) as engine:
        for steps in range(40):  # of the event loop, so that some cancellations meet the answer of the statement or of the commit
            begun = asyncio.Event()

            async def work(begun: asyncio.Event = begun) -> None:
                async with transaction(engine) as connection:
                    await connection.execute(text("SELECT 1"))
                    begun.set()
                    await connection.execute(text("SELECT 1"))

            task = asyncio.create_task(work())
            await asyncio.wait_for(begun.wait(), 30)
            for _ in range(steps):
                await asyncio.sleep(0)
            is_cancelled = task.cancel()
            await asyncio.wait([task], timeout=30)
            assert task.done()
            assert task.cancelled() == is_cancelled, f"after {steps} steps"


@pytest.fixture(scope="module")
def mysql_server() -> Iterator[MariaDbServer]:
    """A server that reports the version of a MySQL."""
    server = MariaDbServer(options={"version": "8.0.36"})
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def test_mysql_is_refused_in_one_line(mysql_server: MariaDbServer) -> None:
    mysql_server.execute("CREATE DATABASE jobtide")
    async with opened(settings_of(f"{mysql_server.url}/jobtide"), maintenance=True) as engine:
        with pytest.raises(UserError, match=r"^the database server is MySQL 8\.0\.36[^\n]*, which jobtide does not support[^\n]*$"):
            await migrate(engine)


async def test_a_server_that_accepts_only_short_statements_is_refused(
    mariadb_server: MariaDbServer, mariadb_database: DatabaseSettings
) -> None:
    mariadb_server.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        async with opened(mariadb_database) as engine:
            with pytest.raises(UserError, match="max_allowed_packet of the database server is 1048576"):
                await ping(engine)
    finally:
        mariadb_server.execute("SET GLOBAL max_allowed_packet = 16777216")
