"""Rejections have their own stream and retention, separate from the log of jobs."""

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from nats.aio.client import Client
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.appliers.rejections import RejectionsApplier
from services.jobstore.continue_log import continue_log
from services.jobstore.rebuild import rebuild
from shared.broker.cursor import log_state
from shared.broker.streams import EVENTS, REJECTIONS, provision, stream_configs
from shared.database.engine import opened, run, transaction
from shared.database.tables import tables
from shared.domain import reasons
from shared.domain.events import (
    Event,
    HousekeepingDue,
    IntakeRejected,
    IntakeReplayed,
    RefusalsDismissed,
    RejectionsDismissed,
    RejectionsDue,
)
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable
from shared.errors import Refused
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.logs import DAY, RECEIVED, apply, record
from tests.jobstore.site import applied, jobstore_settings, running, tell
from tests.support.builders import job_started, job_stopped
from tests.support.databases import dump, query
from tests.support.waiting import until

ROWS = "SELECT stream, seq, code FROM rejection ORDER BY stream, seq"


def rejected(sequence: int, code: str = reasons.LINE_PROTOCOL) -> IntakeRejected:
    return IntakeRejected(code=code, text="why", subject="cc.job.event", stream="INTAKE", sequence=sequence, line=1, excerpt="x")


async def apply_rejections(engine: AsyncEngine, *batches: list[Recorded | Unreadable]) -> None:
    for batch in batches:
        async with transaction(engine) as connection:
            await run(connection, partial(RejectionsApplier(tables).apply, batch=batch))


async def as_before_the_upgrade(client: Client, nats: NatsSettings) -> None:
    """The streams of the previous version, in which EVENTS has the subjects of rejections too."""
    js = client.jetstream(timeout=20)
    await js.delete_stream(nats.stream(REJECTIONS))
    config = next(config for config in stream_configs(nats) if config.name == nats.stream(EVENTS))
    assert config.subjects is not None
    await js.update_stream(config.evolve(subjects=[*config.subjects, f"{nats.prefix}.intake.>"]))


async def test_rejections_recorded_before_the_upgrade_are_read_from_events_and_later_ones_from_their_own_stream(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await as_before_the_upgrade(nats_client, nats_settings)
    await tell(nats_client, nats_settings, [job_started(1), rejected(1), job_stopped(1)], tag="before")
    changes = await provision(nats_client, nats_settings)
    assert changes == [f"updated stream {nats_settings.stream(EVENTS)}: subjects", f"created stream {nats_settings.stream(REJECTIONS)}"]
    await tell(nats_client, nats_settings, [rejected(2), job_started(2)], tag="after")
    async with running(nats_settings, database):
        await applied(database, 4)
        await applied(database, 1, REJECTIONS)
    assert await query(database, ROWS) == [(EVENTS, 2, reasons.LINE_PROTOCOL), (REJECTIONS, 1, reasons.LINE_PROTOCOL)]
    assert await query(database, "SELECT id, job_state FROM job ORDER BY id") == [(1, "completed"), (4, "running")]
    await rebuilt_rows_are_the_same(database, nats_settings, nats_client)


async def test_a_message_rejected_before_and_after_the_upgrade_is_listed_once(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(7, rejected(1), message_id="INTAKE:1:1:0")])
    await apply_rejections(engine, [record(1, rejected(1), message_id="INTAKE:1@5:1:0")])
    assert await query(database, ROWS) == [(EVENTS, 7, reasons.LINE_PROTOCOL)]


# replays

STREAM = "INTAKE@2026-01-01T00:00:00+00:00"
STORED_US = int(RECEIVED * 1_000_000)


def origin(message: int, line: int = 1, stored_us: int | None = STORED_US) -> str:
    return IntakeOrigin(STREAM, message, line, stored_us).message_id()


def replayed(message: int, stored_us: int = STORED_US) -> IntakeReplayed:
    return IntakeReplayed(stream=STREAM, sequence=message, stored_us=stored_us)


def again(sequence: int, event: Event, of: str) -> Recorded:
    return dataclasses.replace(record(sequence, event), replays=of)


@pytest.mark.parametrize("is_one_batch", [True, False])
@pytest.mark.parametrize("stored_us", [STORED_US, None], ids=["id of today", "id of the first form"])
async def test_a_replay_removes_the_rejections_of_its_message_and_no_others(
    engine: AsyncEngine, database: DatabaseSettings, is_one_batch: bool, stored_us: int | None
) -> None:
    first = [record(n, rejected(5), message_id=origin(5, line=n, stored_us=stored_us)) for n in (1, 2)]
    restored = record(4, rejected(5), at=RECEIVED + 60, message_id=origin(5, stored_us=STORED_US + 60_000_000))
    other = [record(3, rejected(6), message_id=origin(6)), restored]
    log: list[Recorded | Unreadable] = [*first, *other, record(5, replayed(5))]
    await apply_rejections(engine, *([log] if is_one_batch and stored_us else [[one] for one in log]))
    assert await query(database, ROWS) == [(REJECTIONS, 3, reasons.LINE_PROTOCOL), (REJECTIONS, 4, reasons.LINE_PROTOCOL)]


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_dismissed_rejections_are_deleted_and_those_of_the_other_stream_are_not(
    engine: AsyncEngine, database: DatabaseSettings, is_one_batch: bool
) -> None:
    log: list[Recorded | Unreadable] = [record(n, rejected(n), message_id=origin(n)) for n in (1, 2, 3)]
    log += [record(4, RejectionsDismissed(sequences=[1, 3, 99])), record(5, rejected(5), message_id=origin(5))]
    await apply_rejections(engine, *([log] if is_one_batch else [[one] for one in log]))
    events = [record(n, job_stopped(n, may_wait=False)) for n in (1, 2, 3)]
    events += [record(4, RefusalsDismissed(sequences=[2, 5, 99])), record(5, job_stopped(5, may_wait=False))]
    await apply(engine, *([events] if is_one_batch else [[one] for one in events]))
    left = [(EVENTS, 1), (EVENTS, 3), (EVENTS, 5), (REJECTIONS, 2), (REJECTIONS, 5)]
    assert [row[:2] for row in await query(database, ROWS)] == left


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_a_message_that_is_rejected_again_is_listed_once_with_its_latest_reason(
    engine: AsyncEngine, database: DatabaseSettings, is_one_batch: bool
) -> None:
    log: list[Recorded | Unreadable] = [record(1, rejected(5, reasons.UNKNOWN_CLUSTER), message_id=origin(5))]
    for sequence in (2, 4, 6):
        log += [record(sequence, replayed(5)), again(sequence + 1, rejected(5, reasons.NO_SUBCLUSTER), origin(5))]
    await apply_rejections(engine, *([log] if is_one_batch else [[one] for one in log]))
    assert await query(database, ROWS) == [(REJECTIONS, 7, reasons.NO_SUBCLUSTER)]


async def test_a_replay_removes_a_rejection_that_an_earlier_version_recorded_in_events(
    engine: AsyncEngine, database: DatabaseSettings
) -> None:
    await apply(engine, [record(7, rejected(5), message_id=origin(5)), again(8, job_stopped(5, may_wait=False), origin(5))])
    await apply_rejections(engine, [record(1, replayed(5))])
    assert await query(database, ROWS) == [(EVENTS, 8, reasons.JOB_NOT_FOUND)]


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_an_event_refused_again_is_listed_once_and_not_at_all_when_it_takes_effect(
    engine: AsyncEngine, database: DatabaseSettings, is_one_batch: bool
) -> None:
    stop = job_stopped(5, may_wait=False)
    log = [record(1, stop, message_id=origin(5)), again(2, stop, origin(5)), again(3, stop, origin(5))]
    await apply(engine, *([log] if is_one_batch else [[one] for one in log]))
    assert await query(database, ROWS) == [(EVENTS, 3, reasons.JOB_NOT_FOUND)]
    assert await query(database, "SELECT origin, intake_seq, line FROM rejection") == [(origin(5), 5, 1)]
    await apply(engine, [record(4, job_started(5)), again(5, stop, origin(5))])
    assert await query(database, ROWS) == []
    assert await query(database, "SELECT job_state FROM job") == [("completed",)]


async def test_a_replayed_stop_that_waits_in_vain_again_is_listed_once(engine: AsyncEngine, database: DatabaseSettings) -> None:
    due = HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=30 * DAY)
    await apply(engine, [record(1, job_stopped(5), message_id=origin(5)), record(2, due, at=RECEIVED + 601)])
    await apply(engine, [dataclasses.replace(again(3, job_stopped(5), origin(5)), stored_at=RECEIVED + 1000)])
    assert await query(database, ROWS) == []
    await apply(engine, [record(4, due, at=RECEIVED + 1601)])
    assert await query(database, ROWS) == [(EVENTS, 3, reasons.START_NEVER_CAME)]


async def test_rejections_are_not_stored_in_the_log_of_jobs(nats_settings: NatsSettings, nats_client: Client) -> None:
    await tell(nats_client, nats_settings, [rejected(n) for n in range(20)])
    assert (await log_state(nats_client, nats_settings.stream(EVENTS))).last_sequence == 0
    assert (await log_state(nats_client, nats_settings.stream(REJECTIONS))).last_sequence == 20


async def test_the_retention_of_the_rejection_stream_is_a_setting(nats_client: Client, nats_settings: NatsSettings) -> None:
    shorter = nats_settings.model_copy(update={"rejections_max_age_days": 3.0})
    assert await provision(nats_client, shorter) == [f"updated stream {nats_settings.stream(REJECTIONS)}: max_age"]
    assert (await nats_client.jetstream().stream_info(nats_settings.stream(REJECTIONS))).config.max_age == 3 * DAY
    assert not (await nats_client.jetstream().stream_info(nats_settings.stream(EVENTS))).config.max_age


async def test_equal_sequences_of_both_streams_are_two_rejections(engine: AsyncEngine, database: DatabaseSettings) -> None:
    unreadable = Unreadable(2, RECEIVED, Refused(reasons.UNREADABLE_EVENT, "why"), "x")
    await apply(engine, [record(1, job_stopped(5, may_wait=False), message_id="a"), unreadable])
    await apply_rejections(engine, [record(1, rejected(1), message_id="b"), unreadable])
    assert await query(database, ROWS) == [
        (EVENTS, 1, reasons.JOB_NOT_FOUND),
        (EVENTS, 2, reasons.UNREADABLE_EVENT),
        (REJECTIONS, 1, reasons.LINE_PROTOCOL),
        (REJECTIONS, 2, reasons.UNREADABLE_EVENT),
    ]


async def test_retention_of_a_stream_deletes_only_its_own_rejections(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(1, job_stopped(5, may_wait=False), message_id="a")])
    await apply_rejections(engine, [record(1, rejected(1), message_id="b")])
    late = RECEIVED + DAY + 1
    await apply(engine, [record(2, HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=DAY), at=late)])
    assert await query(database, ROWS) == [(REJECTIONS, 1, reasons.LINE_PROTOCOL)]
    await apply_rejections(engine, [record(2, RejectionsDue(retention_s=DAY), at=RECEIVED + DAY)])
    assert await query(database, ROWS) == [(REJECTIONS, 1, reasons.LINE_PROTOCOL)]
    await apply_rejections(engine, [record(3, rejected(2), message_id="c"), record(4, RejectionsDue(retention_s=DAY), at=late)])
    assert await query(database, ROWS) == []


async def test_old_rejections_are_deleted_by_an_event_of_their_stream(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    old = datetime.now(UTC) - timedelta(days=2)
    await tell(nats_client, nats_settings, [rejected(1)], [old])
    async with running(nats_settings, database, rejection_retention_days=1, parked_stop_ttl_s=1):
        await applied(database, 1, REJECTIONS)

        async def is_gone() -> bool:
            return await query(database, ROWS) == []

        await until(is_gone, 30, "the old rejection is deleted")
    assert (await log_state(nats_client, nats_settings.stream(EVENTS))).last_sequence == 0


async def rebuilt_rows_are_the_same(database: DatabaseSettings, nats: NatsSettings, client: Client) -> None:
    before = await dump(database, without=("position.build",))
    async with opened(database) as engine:
        await rebuild(client, engine, jobstore_settings(nats, database), [], lambda *_: None)
    assert await dump(database, without=("position.build",)) == before


@pytest.mark.parametrize("expired", [0, 4])
async def test_a_rebuild_preserves_rejections_that_have_expired_from_their_stream(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, expired: int
) -> None:
    log = [event for n in range(1, 7) for event in (rejected(n), job_stopped(n, may_wait=False))]
    await tell(nats_client, nats_settings, [job_started(9), *log])
    async with running(nats_settings, database, batch=2):
        await applied(database, 7)
        await applied(database, 6, REJECTIONS)
    if expired:
        await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(REJECTIONS), seq=expired + 1)
    await rebuilt_rows_are_the_same(database, nats_settings, nats_client)
    assert len(await query(database, ROWS)) == 12


async def test_rejections_of_two_recreated_streams_stay_distinct(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    log = [event for n in range(1, 4) for event in (rejected(n), job_stopped(n, may_wait=False))]
    await tell(nats_client, nats_settings, log)
    async with running(nats_settings, database):
        await applied(database, 3)
        await applied(database, 3, REJECTIONS)
    before = await dump(database, without=("position",))
    for stream in (EVENTS, REJECTIONS):
        await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(stream))
    await provision(nats_client, nats_settings)
    async with opened(database) as engine:
        await continue_log(nats_client, nats_settings, engine)
    async with running(nats_settings, database):
        for stream in (EVENTS, REJECTIONS):
            await applied(database, (await log_state(nats_client, nats_settings.stream(stream))).last_sequence, stream)
    assert await dump(database, without=("position",)) == before
    await rebuilt_rows_are_the_same(database, nats_settings, nats_client)


async def test_a_recreated_stream_of_rejections_continues_above_the_used_sequences(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [rejected(1), rejected(2)], tag="before")
    async with running(nats_settings, database):
        await applied(database, 2, REJECTIONS)
    await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(REJECTIONS))
    await provision(nats_client, nats_settings)
    async with opened(database) as engine:
        (line,) = await continue_log(nats_client, nats_settings, engine)
    assert line.startswith("REJECTIONS continues after 2")
    async with running(nats_settings, database):
        (sequence,) = await tell(nats_client, nats_settings, [rejected(3)], tag="after")
        await applied(database, sequence, REJECTIONS)
    assert sequence > 2
    assert [row[1] for row in await query(database, ROWS)] == [1, 2, sequence]
    await rebuilt_rows_are_the_same(database, nats_settings, nats_client)


async def test_a_stream_of_rejections_that_lost_its_end_is_filled(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell(nats_client, nats_settings, [rejected(1)])
    async with opened(database) as engine:
        async with transaction(engine) as connection:
            state = await log_state(nats_client, nats_settings.stream(REJECTIONS))
            known = {"stream": REJECTIONS, "sequence": 3, "stream_created": state.created, "event_time": time.time()}
            await connection.execute(insert(tables.position), known)
        (line,) = await continue_log(nats_client, nats_settings, engine)
    assert line.startswith("REJECTIONS continues after 3")
    async with running(nats_settings, database):
        await tell(nats_client, nats_settings, [rejected(2)], tag="after")
        await applied(database, 4, REJECTIONS)
    assert await query(database, "SELECT seq, intake_seq FROM rejection") == [(4, 2)]
