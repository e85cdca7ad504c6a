"""Continuing a log that was lost, recreated or restored, without reusing a sequence."""

import shutil

import pytest
from nats.aio.client import Client

from services.jobstore.continue_log import continue_log
from shared.broker.cursor import log_state, read_from
from shared.broker.streams import EVENTS, NODES, provision
from shared.database.engine import opened
from shared.domain.events import JobStarted, RowsRestored
from shared.domain.recorded import Recorded, Unreadable
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.site import applied, running, tell
from tests.support.builders import job_started, job_stopped, nodes_reported
from tests.support.databases import dump, query
from tests.support.nats import NatsServer, client_of, unique_settings


async def continued(client: Client, nats: NatsSettings, database: DatabaseSettings) -> list[str]:
    async with opened(database) as engine:
        return await continue_log(client, nats, engine)


async def applied_site(client: Client, nats: NatsSettings, database: DatabaseSettings) -> None:
    """Three jobs, one of them running, and a node; all events have been applied."""
    await tell(client, nats, [job_started(1), job_stopped(1), job_started(2), nodes_reported(), nodes_reported("alex")])
    async with running(nats, database):
        await applied(database, 3)
        await applied(database, 2, NODES)


async def events(client: Client, nats: NatsSettings) -> list[Recorded]:
    """All readable events of EVENTS."""
    last = (await log_state(client, nats.stream(EVENTS))).last_sequence
    found: list[Recorded | Unreadable] = []
    async with read_from(client, nats.stream(EVENTS), 1) as cursor:
        while not found or found[-1].sequence < last:
            found += await cursor.batch(1000)
    return [record for record in found if isinstance(record, Recorded)]


async def recreate(client: Client, nats: NatsSettings) -> None:
    for stream in (EVENTS, NODES):
        await client.jetstream(timeout=20).delete_stream(nats.stream(stream))
    await provision(client, nats)


async def test_an_intact_log_is_not_changed(database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client) -> None:
    assert await continued(nats_client, nats_settings, database) == []
    await applied_site(nats_client, nats_settings, database)
    before = await log_state(nats_client, nats_settings.stream(EVENTS))
    assert await continued(nats_client, nats_settings, database) == []
    after = await log_state(nats_client, nats_settings.stream(EVENTS))
    assert (before.created, before.last_sequence) == (after.created, after.last_sequence)


async def test_an_empty_recreated_log_continues_above_every_used_sequence(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await applied_site(nats_client, nats_settings, database)
    before = await dump(database, without=("position",))
    await recreate(nats_client, nats_settings)
    lines = await continued(nats_client, nats_settings, database)
    assert [line.split()[0] for line in lines] == [EVENTS, NODES]
    async with running(nats_settings, database):
        assert await dump(database, without=("position",)) == before
        (sequence,) = await tell(nats_client, nats_settings, [job_started(9)], tag="new")
        (report,) = await tell(nats_client, nats_settings, [nodes_reported("emmy")], tag="new-node")
        await applied(database, sequence)
        await applied(database, report, NODES)
    assert sequence > 3
    assert await query(database, "SELECT id, job_id, job_state FROM job ORDER BY id") == [
        (1, 1, "completed"),
        (3, 2, "running"),
        (sequence, 9, "running"),
    ]
    assert await continued(nats_client, nats_settings, database) == []


async def test_events_that_a_recreated_log_already_has_are_applied_once_in_order(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    """The new stream is longer than the position, so only its identity reveals that it is a different one."""
    await applied_site(nats_client, nats_settings, database)
    await recreate(nats_client, nats_settings)
    fresh = [job_stopped(2), *[job_started(n) for n in range(20, 26)], job_stopped(20)]
    await tell(nats_client, nats_settings, [*fresh, nodes_reported("emmy")], tag="fresh")
    await continued(nats_client, nats_settings, database)
    moved = [record for record in await events(nats_client, nats_settings) if ":again-" in record.message_id]
    assert len(moved) == len(fresh)
    assert [record.stored_at for record in moved] == [record.time for record in moved], "their waits would begin again"
    async with running(nats_settings, database):
        await applied(database, moved[-1].sequence)
        await applied(database, (await log_state(nats_client, nats_settings.stream(NODES))).last_sequence, NODES)
    rows = await query(database, "SELECT id, job_id, job_state FROM job ORDER BY id")
    started = [record.sequence for record in moved if isinstance(record.event, JobStarted)]
    assert rows == [
        (1, 1, "completed"),
        (3, 2, "completed"),
        (started[0], 20, "completed"),
        *[(id_, n, "running") for id_, n in zip(started[1:], range(21, 26), strict=True)],
    ]
    assert await query(database, "SELECT DISTINCT cluster FROM node ORDER BY cluster") == [("alex",), ("emmy",), ("fritz",)]


async def test_continuing_twice_has_the_effect_of_once(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await applied_site(nats_client, nats_settings, database)
    for turn in range(2):
        await recreate(nats_client, nats_settings)
        await tell(nats_client, nats_settings, [job_started(30 + turn)], tag=f"turn{turn}")
        await continued(nats_client, nats_settings, database)
        async with running(nats_settings, database):
            await applied(database, (await log_state(nats_client, nats_settings.stream(EVENTS))).last_sequence)
    rows = await query(database, "SELECT id, job_id FROM job ORDER BY id")
    assert rows[:2] == [(1, 1), (3, 2)]
    assert [row[1] for row in rows[2:]] == [30, 31]


@pytest.mark.parametrize("came_since", [0, 2])
async def test_a_log_from_an_older_backup_is_filled_and_continued(
    private_nats: NatsServer, database: DatabaseSettings, came_since: int
) -> None:
    settings = unique_settings(private_nats.url)
    async with client_of(settings) as client:
        await provision(client, settings)
        await tell(client, settings, [job_started(1), nodes_reported()], tag="old")
    private_nats.stop()
    backup = private_nats.store.with_name("backup")
    shutil.copytree(private_nats.store, backup)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, [job_started(2), job_started(3), job_started(4), nodes_reported("alex")], tag="lost")
    async with running(settings, database):
        await applied(database, 4)
        await applied(database, 2, NODES)
    private_nats.kill()
    shutil.rmtree(private_nats.store)
    shutil.copytree(backup, private_nats.store)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, [job_started(50 + n) for n in range(came_since)], tag="since")
        stored = [record.stored_at for record in await events(client, settings) if record.message_id.startswith("since")]
        lines = await continued(client, settings, database)
        assert [line.split()[0] for line in lines] == [EVENTS, NODES]
        async with running(settings, database):
            await tell(client, settings, [job_stopped(2), nodes_reported("emmy")], tag="new")
            await applied(database, (await log_state(client, settings.stream(EVENTS))).last_sequence)
            await applied(database, (await log_state(client, settings.stream(NODES))).last_sequence, NODES)
        log = await events(client, settings)
    rows = await query(database, "SELECT id, job_id, job_state FROM job ORDER BY id")
    assert rows[:4] == [(1, 1, "running"), (2, 2, "completed"), (3, 3, "running"), (4, 4, "running")]
    assert [row[1:] for row in rows[4:]] == [(50 + n, "running") for n in range(came_since)]
    assert all(row[0] > 4 for row in rows[4:])
    assert any(isinstance(record.event, RowsRestored) for record in log)
    assert [record.stored_at for record in log if ":again-" in record.message_id] == stored
    assert await query(database, "SELECT count(*) FROM node") == [(3,)]
