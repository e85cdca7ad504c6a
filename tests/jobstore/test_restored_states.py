"""State whose events were lost is written into the log, so that a rebuild gives the same tables."""

import shutil

import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.continue_log import continue_log
from services.jobstore.rebuild import rebuild
from services.jobstore.whole_states import whole_states
from shared.broker.cursor import log_state
from shared.broker.streams import EVENTS, NODES, provision
from shared.database.engine import opened
from shared.domain.events import (
    Event,
    JobArchived,
    JobDeleted,
    JobMeasurement,
    JobMetadataEdited,
    JobsMeasured,
    JobTagged,
    LogContinued,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.errors import UserError
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.logs import apply, clear, records
from tests.jobstore.site import applied, jobstore_settings, running, tell
from tests.jobstore.test_rebuild import random_events
from tests.support.builders import START_TIME, job_started, job_stopped, nodes_checked, nodes_reported
from tests.support.databases import dump, query
from tests.support.nats import NatsServer, client_of, unique_settings

CFD, MD = Tag(type="area", name="cfd"), Tag(type="area", name="md", scope="alice")
NOTE = JobMetadataEdited(id=1, cluster="fritz", key="note", value="é")
LEFT: list[Event] = [
    job_started(1, tags=[CFD, MD], monitoring_status=0),  # 1
    job_started(2, monitoring_status=0),  # 2
    job_started(3, tags=[MD]),  # 3
    job_stopped(98),  # 4, waits for its start
    job_stopped(3, stop_time=START_TIME - 10**6),  # 5
    NOTE,  # 6
]
LOST: list[Event] = [
    job_stopped(1),  # 7
    job_started(4, tags=[Tag(type="area", name="new")], monitoring_status=0, meta_data={"jobName": "lbm"}),  # 8
    JobDeleted(id=2, cluster="fritz"),  # 9
    TagRemoved(tag=MD),  # 10
    job_started(98, monitoring_status=0),  # 11, its stop waited
    job_stopped(99),  # 12, waits for its start
    JobTagged(id=8, cluster="fritz", tags=[CFD]),  # 13
    JobMetadataEdited(id=8, cluster="fritz", key="note", value="lost"),  # 14
    JobsMeasured(cluster="fritz", jobs=[JobMeasurement(id=3, footprint={"flops_avg": 0.1}, energy=2.0)]),  # 15
    JobArchived(id=1, cluster="fritz", footprint={"a": 1.0}, energy=0.5, energy_footprint={}),  # 16
    JobDeleted(id=77, cluster="fritz"),  # 17, refused
    TagCreated(tag=Tag(type="area", name="unused")),  # 18
    JobDeleted(id=8, cluster="fritz"),  # 19
    job_started(5, tags=[CFD], monitoring_status=0),  # 20
]
SINCE: list[Event] = [job_started(50), job_stopped(4, start_time=START_TIME), job_stopped(5), *[job_started(60 + n) for n in range(20)]]


async def caught_up(client: Client, nats: NatsSettings, database: DatabaseSettings) -> None:
    for stream in (EVENTS, NODES):
        await applied(database, (await log_state(client, nats.stream(stream))).last_sequence, stream)


async def rebuilt(client: Client, nats: NatsSettings, database: DatabaseSettings) -> None:
    async with opened(database, maintenance=True) as engine:
        await rebuild(client, engine, jobstore_settings(nats, database), [], lambda *_: None)


@pytest.mark.parametrize("came_since", [0, 3, len(SINCE)])
async def test_a_rebuild_after_the_log_lost_its_end_gives_the_same_tables(
    private_nats: NatsServer, database: DatabaseSettings, came_since: int
) -> None:
    """``came_since`` events were published before the log was continued: none, fewer than were lost, or more."""
    settings = unique_settings(private_nats.url)
    async with client_of(settings) as client:
        await provision(client, settings)
        await tell(client, settings, [*LEFT, nodes_reported(), nodes_checked("fritz", {"f0101": "full"})], tag="left")
    private_nats.stop()
    backup = private_nats.store.with_name("backup")
    shutil.copytree(private_nats.store, backup)
    private_nats.start()
    async with client_of(settings) as client:
        lost_reports = [nodes_reported("alex"), nodes_reported("fritz", {"f0101": "down", "f0102": "idle"})]
        await tell(client, settings, [*LOST, *lost_reports], tag="lost")
        async with running(settings, database):
            await caught_up(client, settings, database)
    before = await dump(database, without=("position",))
    private_nats.kill()
    shutil.rmtree(private_nats.store)
    shutil.copytree(backup, private_nats.store)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, SINCE[:came_since], tag="since")
        async with opened(database) as engine:
            left_alone = len(LEFT) + came_since >= len(LEFT) + len(LOST)  # as long as before, but a different log
            assert len(await continue_log(client, settings, engine, only_lost_ends=True)) == 2 - left_alone
            assert len(await continue_log(client, settings, engine)) == left_alone
            assert await continue_log(client, settings, engine) == []
        async with running(settings, database):
            await caught_up(client, settings, database)
        continued = await dump(database, without=("position.build",))
        if came_since == 0:
            assert {table: rows for table, rows in continued.items() if table != "position"} == before
        else:
            fresh = await query(database, "SELECT count(*), min(id) FROM job WHERE job_id BETWEEN 50 AND 90")
            assert fresh[0][0] == max(1, came_since - 2)
            assert fresh[0][1] > len(LEFT) + len(LOST)
            assert await query(database, "SELECT job_state FROM job WHERE job_id = 5") == [("completed",)]
        await rebuilt(client, settings, database)
        assert await dump(database, without=("position.build",)) == continued


async def test_a_rebuild_of_a_recreated_log_gives_the_same_tables(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [*LEFT, *LOST, nodes_reported(), nodes_checked("fritz", {"f0101": "full"})], tag="lost")
    async with running(nats_settings, database):
        await caught_up(nats_client, nats_settings, database)
    before = await dump(database, without=("position",))
    for stream in (EVENTS, NODES):
        await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(stream))
    await provision(nats_client, nats_settings)
    async with opened(database) as engine:
        await continue_log(nats_client, nats_settings, engine)
    async with running(nats_settings, database):
        await caught_up(nats_client, nats_settings, database)
    assert await dump(database, without=("position",)) == before
    async with opened(database) as engine:
        await clear(engine)  # the rebuild uses only the log
    await rebuilt(nats_client, nats_settings, database)
    assert await dump(database, without=("position",)) == before


async def test_the_archiving_of_a_job_whose_stop_was_lost_is_requested(private_nats: NatsServer, sqlite_database: DatabaseSettings) -> None:
    settings = unique_settings(private_nats.url)
    async with client_of(settings) as client:
        await provision(client, settings)
        await tell(client, settings, [job_started(1), job_started(2, monitoring_status=0)], tag="left")
    private_nats.stop()
    backup = private_nats.store.with_name("backup")
    shutil.copytree(private_nats.store, backup)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, [job_stopped(1), job_stopped(2)], tag="lost")
        async with running(settings, sqlite_database):
            await caught_up(client, settings, sqlite_database)
    private_nats.kill()
    shutil.rmtree(private_nats.store)
    shutil.copytree(backup, private_nats.store)
    private_nats.start()
    async with client_of(settings) as client:
        async with opened(sqlite_database) as engine:
            await continue_log(client, settings, engine)
        js = client.jetstream(timeout=20)
        requests = await js.stream_info(settings.stream(EVENTS), subjects_filter=f"{settings.prefix}.job.archive_requested.>")
        assert requests.state.subjects == {f"{settings.prefix}.job.archive_requested.fritz": 1}


async def test_a_job_that_outgrew_the_message_limit_by_edits_is_truncated(
    sqlite_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    large = "\n" * (nats_client.max_payload // 3)
    edits = [JobMetadataEdited(id=1, cluster="fritz", key=f"note{n}", value=large) for n in range(2)]
    await tell(nats_client, nats_settings, [job_started(1, meta_data={"jobName": "lbm"}), *edits])
    async with running(nats_settings, sqlite_database):
        await caught_up(nats_client, nats_settings, sqlite_database)
    await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(EVENTS))
    await provision(nats_client, nats_settings)
    async with opened(sqlite_database) as engine:
        await continue_log(nats_client, nats_settings, engine)
        await clear(engine)
    await rebuilt(nats_client, nats_settings, sqlite_database)
    ((name, size),) = await query(sqlite_database, "SELECT job_name, length(meta_data) FROM job")
    assert name == "lbm"
    assert size > nats_client.max_payload / 2


async def test_a_log_that_an_earlier_version_continued_gets_the_states(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [job_started(1), LogContinued(), job_stopped(1)])
    async with running(nats_settings, database):
        await caught_up(nats_client, nats_settings, database)
    async with opened(database) as engine:
        await apply(engine, records([job_started(2, tags=[CFD])], first=2))  # the event that was there before
        before = await dump(database, without=("position",))
        await tell(nats_client, nats_settings, [job_started(3)], tag="more")
        with pytest.raises(UserError, match="let jobstore apply all of it"):
            await continue_log(nats_client, nats_settings, engine)
        async with running(nats_settings, database):
            await caught_up(nats_client, nats_settings, database)
        (line,) = await continue_log(nats_client, nats_settings, engine)
        assert "earlier version" in line
        assert await continue_log(nats_client, nats_settings, engine) == []
    await rebuilt(nats_client, nats_settings, database)
    after = await dump(database, without=("position",))
    assert [row for row in after["job"] if row[0] < 3] == before["job"]
    assert after["jobtag"] == before["jobtag"]


async def test_whole_states_restore_the_present_state_from_any_earlier_one(engine: AsyncEngine, database: DatabaseSettings) -> None:
    log = records([event for seed in (1, 2) for event in random_events(seed, 160)])
    for after in (0, 37, 120, len(log)):
        await clear(engine)
        await apply(engine, log)
        wanted = await dump(database)
        states = [event async for page in whole_states(engine, EVENTS, after) for event in page]
        await clear(engine)
        await apply(engine, log[:after])
        await apply(engine, records(states, first=len(log) + 1))
        assert await dump(database) == wanted
        await apply(engine, records(states, first=2 * len(log) + 1))
        assert await dump(database) == wanted, "a second time changes nothing"
