"""Statements that exceed the database's time limit at every attempt."""

import pytest
from nats.aio.client import Client
from sqlalchemy import text

from shared.database.engine import opened, transaction
from shared.domain.events import HousekeepingDue, Tag, TagRemoved
from shared.errors import StatementTimedOut, Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.logs import apply, records
from tests.jobstore.site import applied, running, tell
from tests.support.builders import START_TIME, job_started
from tests.support.databases import query

ENDLESS = """
CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.job_id = 666 THEN PERFORM pg_sleep(60); END IF;
  RETURN NEW;
END $$
"""


def limited(database: DatabaseSettings, timeout_s: float = 1.0) -> DatabaseSettings:
    return database.model_copy(update={"timeout_s": timeout_s})


async def test_an_event_whose_statement_always_times_out_becomes_a_rejection(
    postgres_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    async with opened(postgres_database) as engine, transaction(engine) as connection:
        await connection.execute(text(ENDLESS))
        await connection.execute(text("CREATE TRIGGER endless BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION endless()"))
    sequences = await tell(nats_client, nats_settings, [job_started(n) for n in (1, 2, 666, 3)])
    async with running(nats_settings, limited(postgres_database)):
        await applied(postgres_database, sequences[-1], deadline_s=60)
    assert await query(postgres_database, "SELECT job_id FROM job ORDER BY id") == [(1,), (2,), (3,)]
    ((sequence, code, why),) = await query(postgres_database, "SELECT seq, code, text FROM rejection")
    assert (sequence, code) == (sequences[2], "internal")
    assert "StatementTimedOut" in why


async def test_a_wait_for_a_lock_does_not_count_as_a_timeout_of_the_statement(postgres_database: DatabaseSettings) -> None:
    lock = text("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
    async with opened(postgres_database) as engine, opened(limited(postgres_database)) as other:
        async with transaction(engine) as holding:
            await holding.execute(lock)
            with pytest.raises(Unavailable) as waited:
                async with transaction(other) as connection:
                    await connection.execute(lock)
        assert not isinstance(waited.value, StatementTimedOut)
        with pytest.raises(StatementTimedOut):
            async with transaction(other) as connection:
                await connection.execute(text("SELECT pg_sleep(5)"))


async def test_changes_of_whole_tables_are_made_in_chunks(database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.jobstore.appliers.job_store.JOBS_AT_ONCE", 3)
    monkeypatch.setattr("services.jobstore.appliers.job_store.ROWS_AT_ONCE", 3)
    tag = Tag(type="area", name="cfd")
    starts = [job_started(n, tags=[tag], walltime=60) for n in range(1, 11)]
    refused = [TagRemoved(tag=Tag(type="area", name=f"none{n}")) for n in range(10)]
    due = HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=60, walltime_grace_s=0)
    async with opened(database) as engine:
        await apply(engine, records([*starts, *refused], at=float(START_TIME)))
        assert await query(database, "SELECT count(*) FROM rejection") == [(10,)]
        await apply(engine, records([due], first=50, at=float(START_TIME + 3600)))
        await apply(engine, records([TagRemoved(tag=tag)], first=60))
    assert await query(database, "SELECT count(*) FROM rejection") == [(0,)]
    assert await query(database, "SELECT count(*), min(is_overdue), min(changed_seq) FROM job") == [(10, 1, 60)]
    assert await query(database, "SELECT count(*) FROM jobtag") == [(0,)]
