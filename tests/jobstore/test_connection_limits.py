"""Limits of connections to PostgreSQL: short for services, none for maintenance."""

import asyncio

import pytest
from sqlalchemy import text

from shared.database.engine import opened, transaction
from shared.errors import Unavailable
from shared.settings import DatabaseSettings
from tests.support.waiting import until

LONG = "SELECT pg_sleep(2.5)"


def short(database: DatabaseSettings) -> DatabaseSettings:
    return database.model_copy(update={"timeout_s": 1.0})


async def test_maintenance_may_run_a_statement_for_longer_than_a_service(postgres_database: DatabaseSettings) -> None:
    async with opened(short(postgres_database)) as engine:
        with pytest.raises(Unavailable):
            async with transaction(engine) as connection:
                await connection.execute(text(LONG))
    async with opened(short(postgres_database), maintenance=True) as engine, transaction(engine) as connection:
        await connection.execute(text(LONG))


async def test_a_service_that_hangs_in_a_transaction_loses_its_locks(postgres_database: DatabaseSettings) -> None:
    lock = text("LOCK TABLE position IN EXCLUSIVE MODE")
    async with opened(short(postgres_database)) as hung, hung.connect() as connection:
        await connection.execute(lock)  # then stays idle, like a frozen process

        async def standby_can_work() -> bool:
            try:
                async with opened(postgres_database) as engine, transaction(engine) as other:
                    await other.execute(lock)
            except Unavailable:
                return False
            return True

        async with asyncio.timeout(30):
            await until(standby_can_work, 30, "the lock of the hung session")
        await connection.invalidate()
