"""The loop on a real broker: each event is applied once, by any replica, and an event that cannot be applied affects no other."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import LostRace, Position, Positions
from shared.broker.cursor import LogState
from shared.broker.envelope import Envelope
from shared.broker.outcome import Outcome, publish_and_wait
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS, NODES, REJECTIONS, provision
from shared.database.engine import opened, transaction
from shared.database.tables import tables
from shared.domain import reasons
from shared.domain.events import Event, JobMetadataEdited, NodeReport, NodesReported
from shared.errors import LogMismatch
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.site import Jobstore, applied, jobstore_settings, running, tell
from tests.support.builders import START_TIME, job_started, job_stopped, nodes_reported
from tests.support.databases import dump, query
from tests.support.nats import NatsServer, client_of, unique_settings
from tests.support.processes import ServiceRunner

T = START_TIME
CREATED = "2026-01-01T00:00:00+00:00"


def a_log(jobs: int) -> list[Event]:
    """Starts, stops that sometimes arrive first, duplicates, and refused events."""
    events: list[Event] = []
    for job_id in range(1, jobs + 1):
        named = T + job_id if job_id % 5 == 0 else None
        pair = [job_started(job_id, start_time=T + job_id), job_stopped(job_id, start_time=named)]
        events += reversed(pair) if job_id % 3 == 0 else pair
        if job_id % 5 == 0:
            events += [
                pair[0],
                job_stopped(job_id, stop_time=T + job_id + 1, start_time=T + job_id),
                job_stopped(job_id, stop_time=1, may_wait=False),
            ]
    return events


# the position


async def test_a_position_moves_only_from_the_expected_sequence(engine: AsyncEngine) -> None:
    positions = Positions(tables, EVENTS)

    async def log() -> LogState:
        return LogState(CREATED, 1, 10)

    assert await positions.begin(engine, log, may_skip=False) == Position(0, CREATED, 0.0)
    async with transaction(engine) as connection:
        await connection.run_sync(positions.advance, 0, Position(7, CREATED, 5.5))
    for stale in (0, 6, 8):
        with pytest.raises(LostRace):
            async with transaction(engine) as connection:
                await connection.run_sync(positions.hold, stale)
        with pytest.raises(LostRace):
            async with transaction(engine) as connection:
                await connection.run_sync(positions.advance, stale, Position(9, CREATED, 5.5))
    assert await positions.begin(engine, log, may_skip=False) == Position(7, CREATED, 5.5)


async def test_replicas_may_start_concurrently(engine: AsyncEngine) -> None:
    async def log() -> LogState:
        return LogState(CREATED, 0, 0)

    begun = await asyncio.gather(*(Positions(tables, EVENTS).begin(engine, log, may_skip=False) for _ in range(4)))
    assert set(begun) == {Position(0, CREATED, 0.0)}


@pytest.mark.parametrize(
    ("log", "may_skip", "says"),
    [
        (LogState(CREATED, 1, 50), False, None),
        (LogState(CREATED, 51, 50), False, None),  # all events applied and expired
        (LogState(CREATED, 51, 60), False, None),
        (LogState(CREATED, 52, 60), False, "begins at 52, but the database has applied only 50"),
        (LogState(CREATED, 52, 60), True, None),
        (LogState(CREATED, 1, 49), False, "ends at 49, but the database has applied 50"),
        (LogState(CREATED, 1, 49), True, "ends at 49"),
        (LogState("2026-02-02T00:00:00+00:00", 1, 60), False, "was recreated"),
        (LogState("2026-02-02T00:00:00+00:00", 1, 60), True, "was recreated"),
    ],
    ids=["longer", "empty", "goes on", "hole", "hole in nodes", "shorter", "shorter nodes", "recreated", "recreated nodes"],
)
async def test_a_log_other_than_the_applied_one_is_not_read(
    engine: AsyncEngine, log: LogState, says: str | None, *, may_skip: bool
) -> None:
    async def ask() -> LogState:
        return log

    positions = Positions(tables, EVENTS)
    async with transaction(engine) as connection:
        await positions.put(connection, Position(50, CREATED, 1.0))
    if says is None:
        assert (await positions.begin(engine, ask, may_skip=may_skip)).sequence == 50
        return
    with pytest.raises(LogMismatch, match=says) as raised:
        await positions.begin(engine, ask, may_skip=may_skip)
    assert "EVENTS" in str(raised.value)
    assert "jobtide" in str(raised.value)  # the command that helps
    assert "\n" not in str(raised.value)


# replicas


@pytest.mark.parametrize("batch", [7, 1000])
async def test_two_replicas_apply_each_event_once(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, batch: int
) -> None:
    log = a_log(60)
    async with running(nats_settings, database, replicas=2, batch=batch):
        sequences: list[int] = []
        for first in range(0, len(log), 20):
            sequences += await tell(nats_client, nats_settings, log[first : first + 20], tag=f"{first}-")
        reports = [nodes_reported("fritz", {"n1": "idle", f"n{i}": "down"}) for i in range(30)]
        nodes = await tell(nats_client, nats_settings, reports, tag="n")
        await applied(database, sequences[-1])
        await applied(database, nodes[-1], NODES)
    assert await query(database, "SELECT count(*), sum(duration) FROM job WHERE job_state = 'completed'") == [
        (60, sum(3600 - job_id for job_id in range(1, 61)))
    ]
    assert await query(database, "SELECT code, count(*) FROM rejection GROUP BY code ORDER BY code") == [
        (reasons.ALREADY_STOPPED, 12),
        (reasons.STOP_BEFORE_START, 12),
    ]
    assert await query(database, "SELECT count(*) FROM node") == [(30,)]
    assert await query(database, "SELECT stream, sequence FROM position ORDER BY stream") == [
        (EVENTS, len(log)),
        (NODES, 30),
        (REJECTIONS, 0),
    ]


async def test_a_replica_killed_at_any_moment_leaves_no_partial_effect(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    log = a_log(40)
    sequences = await tell(nats_client, nats_settings, log)
    for turns in (1, 3, 7, 12, 20):
        store = Jobstore(jobstore_settings(nats_settings, database, batch=5))
        store.start()
        await store.up()
        for _ in range(turns * 5):
            await asyncio.sleep(0)
        await store.cancel()
    async with running(nats_settings, database, batch=5):
        await applied(database, sequences[-1])
    at_once = await dump(database, without=("position",))
    async with opened(database) as engine:
        for table in tables.all():
            async with transaction(engine) as connection:
                await connection.execute(table.delete())
    async with running(nats_settings, database):
        await applied(database, sequences[-1])
    assert await dump(database, without=("position",)) == at_once


# answers


@pytest.fixture
async def store(database: DatabaseSettings, nats_settings: NatsSettings) -> AsyncIterator[None]:
    async with running(nats_settings, database):
        yield


async def ask(client: Client, nats: NatsSettings, event: Event, id_: str) -> Outcome:
    envelope = Envelope(event, id_, "/test", datetime.now(UTC), reply_to=client.new_inbox())
    return (await publish_and_wait(client, Publisher(client, nats.prefix), [envelope], timeout_s=10))[0]


@pytest.mark.usefixtures("store")
async def test_a_requester_gets_the_outcome_of_its_event(nats_settings: NatsSettings, nats_client: Client) -> None:
    said = []
    for index, event in enumerate(
        [
            job_started(1),
            job_started(1),
            job_started(1, start_time=T + 1),
            job_stopped(2),
            job_stopped(2, stop_time=T + 5, may_wait=False),
            JobMetadataEdited(id=1, cluster="fritz", key="k", value="v"),
            JobMetadataEdited(id=9, cluster="fritz", key="k", value="v"),
            job_started(2**70),
        ]
    ):
        outcome = await ask(nats_client, nats_settings, event, f"a{index}")
        assert outcome.sequence == index + 1
        said.append((outcome.kind, outcome.job, outcome.code))
    assert said == [
        ("applied", 1, None),
        ("duplicate", 1, None),
        ("applied", 3, None),
        ("waiting", None, None),
        ("refused", None, reasons.JOB_NOT_FOUND),
        ("applied", 1, None),
        ("refused", None, reasons.JOB_NOT_FOUND),
        ("refused", None, reasons.INTERNAL),
    ]


# events that cannot be applied


def poison(kind: str, job_id: int) -> Event:
    """Events that ingest and the gateway would refuse, but that a log may contain."""
    if kind == "a number beyond every column":
        return job_started(job_id, start_time=2**70)
    if kind == "an id beyond every column":
        return job_started(2**70)
    if kind == "too many nodes for the column":
        return job_started(job_id, num_nodes=2**63)
    if kind == "a stop beyond every column":
        return job_stopped(2**70)
    return nodes_reported("fritz", {"n1": "idle"})  # belongs to another stream


POISONS = [
    "a number beyond every column",
    "an id beyond every column",
    "too many nodes for the column",
    "a stop beyond every column",
    "an event of another stream",
]


@pytest.mark.parametrize("kind", POISONS)
async def test_only_the_event_that_cannot_be_applied_is_buried(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, kind: str
) -> None:
    js = nats_client.jetstream(timeout=20)
    events: list[Event] = [job_started(1), poison(kind, 2), job_started(3), job_stopped(1), poison(kind, 4), job_stopped(3)]
    for index, event in enumerate(events):
        envelope = Envelope(event, f"p{index}", "/test", datetime.now(UTC))
        subject = f"{nats_settings.prefix}.job.poison.fritz"
        await js.publish(subject, envelope.body(), headers=envelope.headers())
    async with running(nats_settings, database):
        await applied(database, len(events))
    assert await query(database, "SELECT id, job_state FROM job ORDER BY id") == [(1, "completed"), (3, "completed")]
    rows = await query(database, "SELECT seq, origin, code, excerpt FROM rejection ORDER BY seq")
    assert [row[:3] for row in rows] == [(2, "log:2", reasons.INTERNAL), (5, "log:5", reasons.INTERNAL)]
    assert rows[0][3].startswith("{")


async def test_a_node_report_that_cannot_be_applied_does_not_block_the_next(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    bad = NodesReported(cluster="fritz", nodes=[NodeReport(hostname="n1", sub_cluster="m", state="idle", states=[], cpus_allocated=2**70)])
    sequences = await tell(nats_client, nats_settings, [nodes_reported(states={"n1": "idle"}), bad, nodes_reported(states={"n1": "down"})])
    async with running(nats_settings, database):
        await applied(database, sequences[-1], NODES)
    assert await query(database, "SELECT hostname, node_state, report_seq FROM node") == [("n1", "down", 3)]


async def test_messages_that_are_not_events_become_rejections(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    js = nats_client.jetstream(timeout=20)
    subject = f"{nats_settings.prefix}.job.started.fritz"
    good = Envelope(job_started(1), "g", "/test", datetime.now(UTC))
    await js.publish(subject, b"\x00\xff not json")
    await js.publish(subject, b"{}", headers={"ce-type": "jobtide.job.started.v1", "ce-time": "2026-01-01T00:00:00Z"})
    await js.publish(subject, good.body(), headers=good.headers() | {"ce-type": "jobtide.job.started.v9", "Nats-Msg-Id": "x"})
    await js.publish(subject, good.body(), headers=good.headers() | {"ce-time": "yesterday", "Nats-Msg-Id": "y"})
    await js.publish(subject, good.body(), headers=good.headers())
    async with running(nats_settings, database):
        await applied(database, 5)
    assert await query(database, "SELECT seq, code FROM rejection ORDER BY seq") == [(n, reasons.UNREADABLE_EVENT) for n in (1, 2, 3, 4)]
    assert await query(database, "SELECT id FROM job") == [(5,)]


async def test_a_fault_that_hits_every_event_stops_jobstore_instead_of_burying_the_log(
    sqlite_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [job_started(2**70, user=f"u{n}") for n in range(150)])
    store = Jobstore(jobstore_settings(nats_settings, sqlite_database))
    store.start()
    assert "in a row cannot be applied" in str(await store.failure())
    assert await query(sqlite_database, "SELECT count(*) FROM rejection") == [(100,)]


# logs that are not the one applied


async def ended_with(database: DatabaseSettings, nats: NatsSettings) -> str:
    store = Jobstore(jobstore_settings(nats, database))
    store.start()
    failure = await store.failure()
    assert isinstance(failure, LogMismatch), failure
    return str(failure)


@pytest.mark.parametrize("stream", [EVENTS, NODES])
async def test_jobstore_stops_at_a_stream_that_was_recreated(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, stream: str
) -> None:
    await tell(nats_client, nats_settings, [job_started(1), job_started(2), nodes_reported()])
    async with running(nats_settings, database):
        await applied(database, 2)
        await applied(database, 1, NODES)
    before = await dump(database)
    await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(stream))
    await provision(nats_client, nats_settings)
    await tell(nats_client, nats_settings, [*[job_started(n) for n in range(7, 12)], nodes_reported("alex")], tag="new")
    assert f"{stream} was recreated" in await ended_with(database, nats_settings)
    after = await dump(database)
    unread = "job" if stream == EVENTS else "node"
    assert after[unread] == before[unread]


async def test_jobstore_stops_when_the_stream_is_recreated_while_it_runs(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [job_started(1), job_started(2)])
    store = Jobstore(jobstore_settings(nats_settings, database))
    store.start()
    await store.up()
    await applied(database, 2)
    await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(EVENTS))
    await provision(nats_client, nats_settings)
    await tell(nats_client, nats_settings, [job_started(7)], tag="new")
    assert isinstance(await store.failure(), LogMismatch)
    assert await query(database, "SELECT count(*) FROM job") == [(2,)]


async def test_jobstore_stops_at_a_log_from_an_older_backup(private_nats: NatsServer, sqlite_database: DatabaseSettings) -> None:
    """The broker's files are restored from a backup while it is down; jobstore keeps running and reconnects."""
    settings = unique_settings(private_nats.url)
    async with client_of(settings) as client:
        await provision(client, settings)
        await tell(client, settings, [job_started(1)])
    private_nats.stop()
    backup = private_nats.store.with_name("backup")
    shutil.copytree(private_nats.store, backup)
    private_nats.start()
    store = Jobstore(jobstore_settings(settings, sqlite_database))
    store.start()
    await store.up()
    async with client_of(settings) as client:
        await tell(client, settings, [job_started(2), job_started(3)], tag="lost")
    await applied(sqlite_database, 3)
    private_nats.kill()
    shutil.rmtree(private_nats.store)
    shutil.copytree(backup, private_nats.store)
    private_nats.start()
    async with client_of(settings) as client:
        await tell(client, settings, [job_started(9)], tag="new")
    failure = await store.failure(40)
    assert isinstance(failure, LogMismatch)
    assert "ends at 2, but the database has applied 3" in str(failure)
    assert await query(sqlite_database, "SELECT job_id FROM job ORDER BY id") == [(1,), (2,), (3,)]


async def test_jobstore_stops_when_events_left_the_log_before_they_were_applied(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [job_started(1), job_started(2)])
    async with running(nats_settings, database):
        await applied(database, 2)
    await tell(nats_client, nats_settings, [job_started(n) for n in range(3, 9)], tag="x")
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=6)
    text = await ended_with(database, nats_settings)
    assert "begins at 6, but the database has applied only 2" in text
    assert "jobtide rebuild" in text


async def test_events_that_expired_after_they_were_applied_are_not_missed(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [job_started(1), job_started(2), nodes_reported()])
    async with running(nats_settings, database):
        await applied(database, 2)
    js = nats_client.jetstream(timeout=20)
    for stream in (EVENTS, NODES):
        await js.purge_stream(nats_settings.stream(stream))
    async with running(nats_settings, database):
        await tell(nats_client, nats_settings, [job_started(3), nodes_reported("alex")], tag="x")
        await applied(database, 3)
        await applied(database, 2, NODES)
    assert await query(database, "SELECT id FROM job ORDER BY id") == [(1,), (2,), (3,)]


async def test_node_reports_that_expired_unread_are_skipped(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [nodes_reported(states={"n1": "idle"}), nodes_reported(states={"n2": "idle"})])
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(NODES), keep=1)
    async with running(nats_settings, database):
        await applied(database, 2, NODES)
    assert await query(database, "SELECT hostname FROM node") == [("n2",)]


async def test_the_process_exits_with_one_line_that_names_cause_and_remedy(
    service: ServiceRunner, sqlite_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [job_started(1)])
    jobstore = await service.start("jobstore", nats_settings, sqlite_database)
    await applied(sqlite_database, 1)
    assert await jobstore.terminate() == 0
    await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(EVENTS))
    await provision(nats_client, nats_settings)
    jobstore.launch()
    assert await jobstore.ended() == 2
    (line,) = [line for line in jobstore.log_text.splitlines() if "recreated" in line]
    assert line.startswith("jobstore: the stream EVENTS was recreated")
    assert "jobtide provision --continue-log" in line
    assert "Traceback" not in jobstore.log_text
