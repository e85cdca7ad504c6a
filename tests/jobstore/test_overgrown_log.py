"""A log that was restored from a backup and has grown beyond the position: the same stream with different events."""

import shutil

from services.jobstore.continue_log import continue_log
from shared.broker.cursor import log_state
from shared.broker.streams import EVENTS, provision
from shared.database.engine import opened
from shared.errors import LogMismatch
from shared.settings import DatabaseSettings
from tests.jobstore.site import Jobstore, applied, jobstore_settings, running, tell
from tests.support.builders import job_started
from tests.support.databases import query
from tests.support.nats import NatsServer, client_of, unique_settings


async def test_events_on_used_sequences_stop_jobstore_and_are_moved(private_nats: NatsServer, database: DatabaseSettings) -> None:
    settings = unique_settings(private_nats.url)
    async with client_of(settings) as client:
        await provision(client, settings)
        await tell(client, settings, [job_started(1)], tag="old")
    private_nats.stop()
    backup = private_nats.store.with_name("backup")
    shutil.copytree(private_nats.store, backup)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, [job_started(2), job_started(3), job_started(4)], tag="lost")
    async with running(settings, database):
        await applied(database, 4)
    private_nats.kill()
    shutil.rmtree(private_nats.store)
    shutil.copytree(backup, private_nats.store)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, [job_started(50 + n) for n in range(6)], tag="since")
        store = Jobstore(jobstore_settings(settings, database))
        store.start()
        failure = await store.failure(40)
        assert isinstance(failure, LogMismatch)
        assert "different event at 4" in str(failure)
        async with opened(database) as engine:
            assert len(await continue_log(client, settings, engine)) == 1
            assert await continue_log(client, settings, engine) == []
        async with running(settings, database):
            await applied(database, (await log_state(client, settings.stream(EVENTS))).last_sequence)
    rows = await query(database, "SELECT id, job_id FROM job ORDER BY id")
    assert rows[:4] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert sorted(row[1] for row in rows[4:]) == [50, 51, 52, 53, 54, 55]
