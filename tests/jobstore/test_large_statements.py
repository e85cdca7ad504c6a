"""Statements that are larger than what the database server accepts, which closes the connection as if it was gone."""

from nats.aio.client import Client

from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.site import applied, running, tell
from tests.support.builders import job_started
from tests.support.databases import query

QUOTES = '"' * 3_600_000  # the broker accepts the event, but each quote is three more characters in the statement


async def test_an_event_that_is_too_large_for_mariadb_becomes_a_rejection(
    mariadb_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    events = [job_started(1), job_started(2, meta_data={"jobName": QUOTES}), job_started(3)]
    sequences = await tell(nats_client, nats_settings, events)
    async with running(nats_settings, mariadb_database):
        await applied(mariadb_database, sequences[-1], deadline_s=60)
    assert await query(mariadb_database, "SELECT job_id FROM job ORDER BY id") == [(1,), (3,)]
    ((sequence, code, why),) = await query(mariadb_database, "SELECT seq, code, text FROM rejection")
    assert (sequence, code) == (sequences[1], "internal")
    assert "max_allowed_packet" in why
