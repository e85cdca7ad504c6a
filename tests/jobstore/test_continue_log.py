"""A log that was lost, recreated or put back: going on without ever using a sequence twice."""

import shutil

import pytest
from nats.aio.client import Client

from services.jobstore.continue_log import continue_log
from shared.broker.cursor import log_state, read_from
from shared.broker.streams import EVENTS, NODES, provision
from shared.database.engine import opened
from shared.domain.events import LogContinued
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
    """Three jobs, of which one runs, and a node: all of it applied."""
    await tell(client, nats, [job_started(1), job_stopped(1), job_started(2), nodes_reported(), nodes_reported("alex")])
    async with running(nats, database):
        await applied(database, 3)
        await applied(database, 2, NODES)


async def events(client: Client, nats: NatsSettings) -> list[Recorded]:
    """All of EVENTS that can be read."""
    last = (await log_state(client, nats.stream(EVENTS))).last_sequence
    found: list[Recorded | Unreadable] = []
    async with read_from(client, nats.stream(EVENTS), 1) as cursor:
        while not found or found[-1].sequence < last:
            found += await cursor.batch(1000)
    return [record for record in found if isinstance(record, Recorded)]


async def recreate(client: Client, nats: NatsSettings) -> None:
    for stream in (EVENTS, NODES):
        await client.jetstream(timeout=5).delete_stream(nats.stream(stream))
    await provision(client, nats)


async def test_a_log_that_is_whole_is_left_alone(database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client) -> None:
    assert await continued(nats_client, nats_settings, database) == []
    await applied_site(nats_client, nats_settings, database)
    before = await log_state(nats_client, nats_settings.stream(EVENTS))
    assert await continued(nats_client, nats_settings, database) == []
    after = await log_state(nats_client, nats_settings.stream(EVENTS))
    assert (before.created, before.last_sequence) == (after.created, after.last_sequence)


async def test_an_empty_recreated_log_goes_on_above_every_used_sequence(
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
    assert await query(database, "SELECT id, job_id, job_state FROM job ORDER BY id") == [
        (1, 1, "completed"),
        (3, 2, "running"),
        (4, 9, "running"),
    ]
    assert await continued(nats_client, nats_settings, database) == []


async def test_events_that_a_recreated_log_already_has_are_applied_once_in_order(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    """Their number is such that the new stream is longer than the position: nothing but its identity tells."""
    await applied_site(nats_client, nats_settings, database)
    await recreate(nats_client, nats_settings)
    fresh = [job_stopped(2), *[job_started(n) for n in range(20, 26)], job_stopped(20)]
    await tell(nats_client, nats_settings, [*fresh, nodes_reported("emmy")], tag="fresh")
    await continued(nats_client, nats_settings, database)
    moved = [record for record in await events(nats_client, nats_settings) if record.message_id.endswith(":again")]
    assert len(moved) == len(fresh)
    assert [record.stored_at for record in moved] == [record.time for record in moved], "their waits would begin again"
    async with running(nats_settings, database):
        await applied(database, 3 + len(fresh))
        await applied(database, 3, NODES)
    rows = await query(database, "SELECT id, job_id, job_state FROM job ORDER BY id")
    assert rows == [
        (1, 1, "completed"),
        (3, 2, "completed"),
        (5, 20, "completed"),
        *[(n - 15, n, "running") for n in range(21, 26)],
    ]
    assert await query(database, "SELECT DISTINCT cluster FROM node ORDER BY cluster") == [("alex",), ("emmy",), ("fritz",)]


async def test_continuing_twice_is_as_good_as_once(database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client) -> None:
    await applied_site(nats_client, nats_settings, database)
    for turn in range(2):
        await recreate(nats_client, nats_settings)
        await tell(nats_client, nats_settings, [job_started(30 + turn)], tag=f"turn{turn}")
        await continued(nats_client, nats_settings, database)
        async with running(nats_settings, database):
            await applied(database, 4 + turn)
    rows = await query(database, "SELECT id, job_id FROM job ORDER BY id")
    assert rows == [(1, 1), (3, 2), (4, 30), (5, 31)]


@pytest.mark.parametrize("came_since", [0, 2])
async def test_a_log_from_an_older_backup_is_filled_up_and_goes_on(
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
    assert any(isinstance(record.event, LogContinued) for record in log)
    assert [record.stored_at for record in log if record.message_id.endswith(":again")] == stored
    assert await query(database, "SELECT count(*) FROM node") == [(3,)]
