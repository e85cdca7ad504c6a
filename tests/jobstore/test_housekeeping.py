"""Housekeeping: parked stops expire, old rejections are deleted, overdue jobs are marked; and the publisher of its events."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.housekeeping import Housekeeping
from services.jobstore.settings import JobstoreSettings
from shared.broker.cursor import broker_time, log_state, read_from
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS
from shared.domain import reasons
from shared.domain.events import HousekeepingDue
from shared.domain.recorded import Recorded
from shared.errors import Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.logs import DAY, apply, clear, record
from tests.jobstore.site import running, tell
from tests.support.builders import START_TIME, job_started, job_stopped
from tests.support.databases import dump, query
from tests.support.waiting import until

T = START_TIME


def due(ttl_s: int = 600, retention_s: int = 30 * DAY, walltime_grace_s: int | None = None) -> HousekeepingDue:
    return HousekeepingDue(parked_stop_ttl_s=ttl_s, rejection_retention_s=retention_s, walltime_grace_s=walltime_grace_s)


@pytest.mark.parametrize(("waited_s", "waiting", "refused"), [(600, 1, 0), (600.5, 0, 1)])
async def test_a_parked_stop_expires_after_its_time(
    engine: AsyncEngine, database: DatabaseSettings, waited_s: float, waiting: int, refused: int
) -> None:
    await apply(engine, [record(1, job_stopped(5), at=T)], [record(2, due(), at=T + waited_s)])
    assert await query(database, "SELECT count(*) FROM parked_stop") == [(waiting,)]
    rows = await query(database, "SELECT seq, origin, code, job_id, cluster, time FROM rejection")
    assert rows == [(1, "m1", reasons.START_NEVER_CAME, 5, "fritz", T + waited_s)][:refused]


async def test_a_start_that_arrives_after_its_stop_expired_is_running(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(1, job_stopped(5), at=T), record(2, due(), at=T + 601), record(3, job_started(5), at=T + 602)])
    assert await query(database, "SELECT job_state FROM job") == [("running",)]


async def test_parked_stops_wait_until_their_time_is_over(engine: AsyncEngine, database: DatabaseSettings) -> None:
    log = [record(1, job_stopped(5), at=T), record(2, job_stopped(6), at=T + 300), record(3, due(), at=T + 700)]
    await apply(engine, [*log, record(4, job_started(6), at=T + 701)])
    assert await query(database, "SELECT seq FROM rejection") == [(1,)]
    assert await query(database, "SELECT job_id, job_state FROM job") == [(6, "completed")]


@pytest.mark.parametrize(("age_s", "left"), [(DAY, 1), (DAY + 1, 0)])
async def test_rejections_are_deleted_after_their_retention(engine: AsyncEngine, database: DatabaseSettings, age_s: int, left: int) -> None:
    await apply(engine, [record(1, job_stopped(5, may_wait=False), at=T), record(2, due(retention_s=DAY), at=T + age_s)])
    assert await query(database, "SELECT count(*) FROM rejection") == [(left,)]


@pytest.mark.parametrize(("grace_s", "past_s", "marked"), [(None, 10_000, False), (60, 60, False), (60, 61, True), (0, 1, True)])
async def test_a_job_is_marked_failed_after_its_walltime_if_enabled(
    engine: AsyncEngine, database: DatabaseSettings, grace_s: int | None, past_s: int, *, marked: bool
) -> None:
    await apply(engine, [record(1, job_started(5, walltime=100))], [record(2, due(walltime_grace_s=grace_s), at=T + 100 + past_s)])
    row = await query(database, "SELECT job_state, duration, monitoring_status, is_overdue, stop_seq FROM job")
    assert row == [("failed", 100, 2, 1, None) if marked else ("running", 0, 1, 0, None)]


async def test_jobs_without_walltime_and_ended_jobs_are_never_marked_failed(engine: AsyncEngine, database: DatabaseSettings) -> None:
    log = [record(1, job_started(5, walltime=0)), record(2, job_started(6, walltime=1)), record(3, job_stopped(6, stop_time=T + 50))]
    await apply(engine, [*log, record(4, due(walltime_grace_s=0), at=T + 10 * DAY)])
    assert await query(database, "SELECT job_state, duration FROM job ORDER BY id") == [("running", 0), ("completed", 50)]


@pytest.mark.parametrize(("monitoring", "presumed", "stopped"), [(1, 2, 1), (0, 0, 0)])
async def test_the_real_stop_of_a_job_that_was_marked_failed_applies(
    engine: AsyncEngine, database: DatabaseSettings, monitoring: int, presumed: int, stopped: int
) -> None:
    await apply(
        engine,
        [record(1, job_started(5, walltime=100, monitoring_status=monitoring))],
        [record(2, due(walltime_grace_s=0), at=T + 200)],
    )
    assert await query(database, "SELECT monitoring_status FROM job") == [(presumed,)]
    await apply(engine, [record(3, job_stopped(5, stop_time=T + 130))])
    row = await query(database, "SELECT job_state, duration, monitoring_status, is_overdue, stop_seq FROM job")
    assert row == [("completed", 130, stopped, 0, 3)]


async def test_a_requeue_of_a_job_that_was_marked_failed_is_a_new_run(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(1, job_started(5, walltime=100)), record(2, due(walltime_grace_s=0), at=T + 200)])
    log = [record(3, job_started(5, start_time=T + 150)), record(4, job_stopped(5, stop_time=T + 180))]
    assert [decision.kind for decision in await apply(engine, log)] == ["applied", "applied"]
    rows = await query(database, "SELECT start_time, job_state, duration FROM job ORDER BY id")
    assert rows == [(T, "failed", 100), (T + 150, "completed", 30)]


async def test_work_beyond_the_limit_of_one_event_is_done_by_the_next_ones(
    engine: AsyncEngine, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobstore.appliers.events.MAX_DUE", 2)
    stops = [record(n, job_stopped(100 + n), at=T) for n in range(1, 4)]
    runs = [record(10 + n, job_started(n), at=T) for n in range(3)]
    later_runs = [record(20 + n, job_started(n, start_time=T + 50, walltime=1000), at=T) for n in range(3)]
    log = [*stops, *runs, *later_runs]
    await apply(engine, log)
    seen = []
    for sequence in range(30, 34):
        await apply(engine, [record(sequence, due(walltime_grace_s=0), at=T + 2000)])
        (refused,) = await query(database, "SELECT count(*) FROM rejection")
        states = await query(database, "SELECT job_state, count(*) FROM job WHERE job_state <> 'running' GROUP BY 1 ORDER BY 1")
        seen.append((refused[0], dict(states)))
    assert seen == [(2, {}), (3, {"preempted": 2}), (3, {"failed": 3, "preempted": 3}), (3, {"failed": 3, "preempted": 3})]
    one_by_one = await dump(database)
    await clear(engine)
    await apply(engine, [*log, *(record(sequence, due(walltime_grace_s=0), at=T + 2000) for sequence in range(30, 34))])
    assert await dump(database) == one_by_one


# whose clock is used


async def test_the_wait_of_a_stop_begins_when_the_log_stored_it(engine: AsyncEngine, database: DatabaseSettings) -> None:
    """After an outage, ingest reads messages that are an hour old: the start is as late as the stop."""
    hour = T + 3600
    log = [
        record(1, job_stopped(5), at=T, stored_at=hour),
        record(2, due(), at=hour + 1),
        record(3, job_started(5), at=T, stored_at=hour + 2),
    ]
    await apply(engine, log)
    assert await query(database, "SELECT job_state FROM job") == [("completed",)]
    assert await query(database, "SELECT count(*) FROM rejection") == [(0,)]


@pytest.mark.parametrize("off_s", [-2 * DAY, 2 * DAY])
async def test_the_clock_of_the_publisher_of_housekeeping_does_not_matter(
    engine: AsyncEngine, database: DatabaseSettings, off_s: int
) -> None:
    passed = due(walltime_grace_s=0)
    log = [
        record(1, job_stopped(5), at=T),
        record(2, job_started(6, walltime=3600), at=T),
        record(3, passed, at=T + off_s, stored_at=T + 599),
    ]
    await apply(engine, log)
    assert await query(database, "SELECT count(*) FROM parked_stop") == [(1,)]
    assert await query(database, "SELECT job_state FROM job") == [("running",)]
    await apply(engine, [record(4, passed, at=T + off_s, stored_at=T + 3601)])
    assert await query(database, "SELECT count(*) FROM parked_stop") == [(0,)]
    assert await query(database, "SELECT job_state FROM job") == [("failed",)]


async def test_a_jobstore_with_a_clock_days_ahead_expires_nothing_early(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return super().now(tz) + timedelta(days=2)

    monkeypatch.setattr("services.jobstore.housekeeping.datetime", Ahead)
    monkeypatch.setattr("time.time", lambda: Ahead.now().timestamp())
    started = job_started(6, start_time=int(datetime.now(UTC).timestamp()), walltime=3600)
    async with running(nats_settings, database, parked_stop_ttl_s=20, walltime_grace_s=0):
        # A stop that has expired by any clock: once it is rejected, housekeeping has examined everything.
        old, now = datetime.now(UTC) - timedelta(seconds=60), datetime.now(UTC)
        await tell(nats_client, nats_settings, [job_stopped(5), job_stopped(7), started], [old, now, now])

        async def has_looked() -> bool:
            return await query(database, "SELECT job_id FROM rejection") == [(5,)]

        await until(has_looked, 30, "the old stop gives up")
        assert await query(database, "SELECT job_id FROM parked_stop") == [(7,)]
        assert await query(database, "SELECT job_state FROM job") == [("running",)]


async def test_the_time_of_the_broker_is_read(nats_settings: NatsSettings, nats_client: Client) -> None:
    before = time.time()
    assert before - 1 <= await broker_time(nats_client, nats_settings.stream(EVENTS)) <= time.time() + 1
    with pytest.raises(Unavailable, match="does not give its time"):
        await broker_time(nats_client, "NO_SUCH_STREAM")


# publishing


async def test_nothing_is_published_while_nothing_is_due(engine: AsyncEngine, nats_settings: NatsSettings, nats_client: Client) -> None:
    now = int(time.time()) + 60
    await apply(engine, [record(1, job_stopped(5), at=now), record(2, job_stopped(6, may_wait=False), at=now)])
    await apply(engine, [record(3, job_started(7, start_time=now, walltime=100), at=now)])
    await run_housekeeping(engine, nats_settings, nats_client, turns=1, parked_stop_ttl_s=1, walltime_grace_s=60)
    assert (await log_state(nats_client, nats_settings.stream("EVENTS"))).last_sequence == 0


@pytest.mark.parametrize("reason", ["parked stop", "old rejection", "overdue job"])
async def test_replicas_publish_one_housekeeping_event_per_step(
    engine: AsyncEngine, nats_settings: NatsSettings, nats_client: Client, reason: str
) -> None:
    old = time.time() - 100
    event = {
        "parked stop": job_stopped(5),
        "old rejection": job_stopped(5, may_wait=False),
        "overdue job": job_started(5, start_time=int(old), walltime=10),
    }[reason]
    await apply(engine, [record(1, event, at=old)])
    settings = {"parked_stop_ttl_s": 1, "rejection_retention_days": 60 / DAY, "walltime_grace_s": 0}
    began = time.monotonic()
    await asyncio.gather(*(run_housekeeping(engine, nats_settings, nats_client, turns=1, **settings) for _ in range(4)))
    steps = time.monotonic() - began + 1
    async with read_from(nats_client, nats_settings.stream("EVENTS"), 1) as cursor:
        log = [r for r in await until(lambda: cursor.batch(10)) if isinstance(r, Recorded)]
    assert 1 <= len(log) <= steps
    assert {r.event for r in log} == {due(ttl_s=1, retention_s=60, walltime_grace_s=0)}


async def run_housekeeping(engine: AsyncEngine, nats: NatsSettings, client: Client, *, turns: int, **settings: float) -> None:
    """Run one replica for ``turns`` iterations."""
    stop = asyncio.Event()
    seen = 0

    def tick() -> None:
        nonlocal seen
        seen += 1
        if seen == turns:
            stop.set()

    publisher, events = Publisher(client, nats.prefix), nats.stream(EVENTS)
    housekeeping = Housekeeping(JobstoreSettings.model_validate(settings), engine, publisher, lambda: broker_time(client, events))
    async with asyncio.timeout(30):
        await housekeeping.run(stop, tick)
