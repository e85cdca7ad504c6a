"""A rebuild gives the same rows as incremental application, on both engines, while jobstore and readers run."""

import asyncio
import random
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.jobstore.appliers.events import EventsApplier
from services.jobstore.position import LostRace
from services.jobstore.rebuild import Rebuild, rebuild
from services.jobstore.seeding import ArchivedJob
from shared.broker.streams import EVENTS, NODES, REJECTIONS
from shared.database.dialects import DIALECTS, Dialect, Switch
from shared.database.engine import opened, read, transaction
from shared.database.progress import Progress, progress
from shared.domain.events import (
    Event,
    HousekeepingDue,
    JobAdvice,
    JobAdviceMuted,
    JobAdvised,
    JobArchived,
    JobDeleted,
    JobImported,
    JobMeasurement,
    JobMetadataEdited,
    JobsMeasured,
    JobTagged,
    JobTakenOver,
    JobUntagged,
    Tag,
    TagRemoved,
)
from shared.domain.values import JobState
from shared.errors import JobtideError, Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.site import applied, jobstore_settings, running, tell
from tests.support.builders import START_TIME, job_started, job_stopped, nodes_checked, nodes_reported
from tests.support.databases import dump, query
from tests.support.fixtures import any_database

database = any_database

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
RULE_NAMES = ["hangs", "lowload"]
TAGS = [
    Tag(type="jobClass", name="hangs"),
    *(Tag(type="area", name=name, scope=scope) for name in ("cfd", "md") for scope in ("global", "alice")),
]
NODE_SETTINGS: dict[str, Any] = {"node_history_days": 0.05, "node_unchanged_s": 600}


def random_events(seed: int, count: int) -> list[Event]:
    """Starts, stops, copies, requeues and edits in a random order, seeded."""
    dice = random.Random(seed)
    events: list[Event] = []
    for job_id in range(1, count // 4):
        at = START_TIME + job_id
        for _ in range(dice.choice([1, 1, 2])):
            state = dice.choice([JobState.COMPLETED, JobState.FAILED, JobState.PREEMPTED])
            named = at if dice.random() < 0.3 else None
            tags = dice.sample(TAGS, dice.choice([0, 0, 1, 2]))
            events.append(
                job_started(job_id, start_time=at, tags=tags, walltime=dice.choice([0, 100]), meta_data={"jobName": f"é{job_id}"})
            )
            events.append(
                job_stopped(job_id, stop_time=at + 50, start_time=named, job_state=state, received_state=dice.choice([None, "x"]))
            )
            at += 60
    place = {id(event): index for index, event in enumerate(events)}
    events.sort(key=lambda event: place[id(event)] + dice.uniform(-6, 6))
    mixed: list[Event] = []
    for event in events:
        mixed.append(event)
        if dice.random() < 0.4:
            mixed.append(random_edit(dice, len(mixed) + 1, mixed))
    return mixed


def random_takeover(dice: random.Random, tags: list[Tag]) -> Event:
    """The state of a random job in another database."""
    job_id = dice.randint(1, 40)
    facts = job_started(job_id, start_time=START_TIME + job_id, tags=tags, meta_data=dice.choice([None, {"jobName": "there"}]))
    state, duration = dice.choice([(JobState.RUNNING, 0), (JobState.FAILED, 45), (JobState.COMPLETED, 50)])
    status = dice.choice([1, 2, 3])
    return JobTakenOver(
        **dict(facts) | {"monitoring_status": status, "footprint": {"c": 0.5} if status == 3 else None},
        job_state=state,
        duration=duration,
        former_id=dice.choice([None, 1000 + job_id]),
        digest=f"{state}{status}{len(tags)}",
    )


def random_edit(dice: random.Random, sequence: int, told: Sequence[Event]) -> Event:
    id_ = max(1, sequence - dice.randint(1, 30))
    tags = dice.sample(TAGS, dice.randint(0, 2))
    kinds: list[Event] = [
        dice.choice(told),
        JobTagged(id=id_, cluster="fritz", tags=tags),
        JobUntagged(id=id_, cluster="fritz", tags=tags),
        TagRemoved(tag=dice.choice(TAGS)),
        JobMetadataEdited(id=id_, cluster="fritz", key=dice.choice(["note", "jobName"]), value=str(sequence)),
        JobDeleted(id=id_, cluster="fritz"),
        random_advice(dice, id_),
        random_takeover(dice, tags),
        JobAdviceMuted(id=id_, cluster="fritz", rule=dice.choice(RULE_NAMES), muted=dice.random() < 0.7),
        JobArchived(id=id_, cluster="fritz", footprint={"a": 0.1}, energy=1.25, energy_footprint={"b": 1e-9}),
        JobsMeasured(
            cluster="fritz", jobs=[JobMeasurement(id=n, footprint={"a": n / 7}, energy=0.5) for n in range(max(1, id_ - 8), id_ + 9)]
        ),
        HousekeepingDue(parked_stop_ttl_s=30, rejection_retention_s=600, walltime_grace_s=dice.choice([None, 10])),
    ]
    return dice.choice(kinds)


def random_advice(dice: random.Random, id_: int) -> Event:
    rules = dice.sample(RULE_NAMES, dice.randint(0, 2))
    advice = [JobAdvice(rule=rule, severity="info", text="It holds.") for rule in rules]
    return JobAdvised(id=id_, cluster="fritz", advice=dice.choice([advice, advice, None]), while_running=dice.random() < 0.5)


def random_reports(seed: int, count: int) -> list[Event]:
    dice = random.Random(seed)
    hosts = [f"n{i}" for i in range(6)]
    chosen = (dice.sample(hosts, dice.randint(1, 4)) for _ in range(count))
    return [
        nodes_reported("fritz", {host: dice.choice(["idle", "idle", "down"]) for host in some})
        if dice.random() < 0.6
        else nodes_checked("fritz", {host: dice.choice(["full", "full", "partial", "failed"]) for host in some})
        for some in chosen
    ]


def times(seed: int, count: int, step_s: float) -> list[datetime]:
    """Event times that mostly increase."""
    dice = random.Random(seed)
    return [
        BEGIN + timedelta(seconds=index * step_s - dice.choice([0, 0, 0, 90]), milliseconds=dice.randint(0, 999)) for index in range(count)
    ]


async def tell_all(client: Client, nats: NatsSettings, seed: int, jobs: int, reports: int) -> tuple[int, int]:
    """Fill both streams; returns the last sequence of each."""
    events, states = random_events(seed, jobs), random_reports(seed, reports)
    last = await tell(client, nats, events, times(seed, len(events), 5), f"e{seed}-")
    last_report = await tell(client, nats, states, times(seed, len(states), 60), f"n{seed}-")
    return last[-1], last_report[-1]


async def rebuild_now(
    client: Client, nats: NatsSettings, database: DatabaseSettings, archived: Iterable[ArchivedJob] = ()
) -> dict[str, int]:
    async with opened(database) as engine:
        return await rebuild(client, engine, jobstore_settings(nats, database, **NODE_SETTINGS), archived, lambda *_: None)


async def progress_of(database: DatabaseSettings) -> Progress:
    async with opened(database, read_only=True) as engine:
        return await read(engine, progress)


@pytest.mark.parametrize("seed", [3, 7, 15])
async def test_rebuild_equals_incremental(database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, seed: int) -> None:
    last, last_report = await tell_all(nats_client, nats_settings, seed, 200, 150)
    async with running(nats_settings, database, batch=random.Random(seed).choice([1, 7, 64]), **NODE_SETTINGS):
        await applied(database, last)
        await applied(database, last_report, NODES)
    incremental = await dump(database, without=("position.build",))
    assert [table for table, rows in incremental.items() if not rows and table != "parked_stop"] == []
    before = await progress_of(database)
    assert await rebuild_now(nats_client, nats_settings, database) == {EVENTS: last, NODES: last_report, REJECTIONS: 0}
    assert await dump(database, without=("position.build",)) == incremental
    after = await progress_of(database)
    assert (before, after) == (Progress(0, last, last_report, before.log), Progress(1, last, last_report, before.log))
    assert before.log
    assert not after.follows(before)


async def test_rebuilt_tables_have_statistics_for_the_planner(
    postgres_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell_all(nats_client, nats_settings, 1, 50, 20)
    await rebuild_now(nats_client, nats_settings, postgres_database)
    known = await query(postgres_database, "SELECT count(*) FROM pg_stats WHERE schemaname = current_schema() AND tablename = 'job'")
    assert known[0][0] > 20


async def test_both_engines_have_the_same_rows(
    sqlite_database: DatabaseSettings, postgres_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell_all(nats_client, nats_settings, 4, 200, 100)
    for database in (sqlite_database, postgres_database):
        await rebuild_now(nats_client, nats_settings, database)
    assert await dump(sqlite_database) == await dump(postgres_database)


async def shape(database: DatabaseSettings) -> dict[str, Any]:
    """Tables, indexes and constraints by name."""

    def look(connection: sqlalchemy.Connection) -> dict[str, Any]:
        found = sqlalchemy.inspect(connection)
        is_sqlite = connection.dialect.name == "sqlite"
        return {
            table: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)],
                sorted((str(index["name"]), tuple(index["column_names"]), index["unique"]) for index in found.get_indexes(table)),
                sorted((None if is_sqlite else c["name"], tuple(c["column_names"])) for c in found.get_unique_constraints(table)),
                found.get_pk_constraint(table)["constrained_columns"],
            )
            for table in found.get_table_names()
        }

    async with opened(database) as engine, engine.connect() as connection:
        return await connection.run_sync(look)


async def test_the_schema_after_two_rebuilds_equals_the_migrated_one(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    before = await shape(database)
    await tell(nats_client, nats_settings, [job_started(1)])
    for _ in range(2):
        await rebuild_now(nats_client, nats_settings, database)
        assert await shape(database) == before


async def test_leftovers_of_an_unfinished_rebuild_do_not_prevent_another(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await tell_all(nats_client, nats_settings, 5, 60, 10)
    async with running(nats_settings, database, **NODE_SETTINGS):
        await applied(database, 30)
    async with opened(database) as engine:
        unfinished = Rebuild(nats_client, engine, jobstore_settings(nats_settings, database, **NODE_SETTINGS))

        def fail(*_: Any) -> None:
            raise RuntimeError("killed")

        with pytest.raises(RuntimeError, match="killed"):
            await unfinished.run([], fail)
    assert (await query(database, "SELECT count(*) FROM job"))[0][0] > 0  # the tables in use are unchanged
    await rebuild_now(nats_client, nats_settings, database)
    assert not [table for table in await shape(database) if table.startswith("rebuild_")]


async def test_a_fault_that_hits_every_event_ends_a_rebuild_before_it_switches(
    sqlite_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = (await tell(nats_client, nats_settings, [job_started(n) for n in range(1, 151)]))[-1]
    async with running(nats_settings, sqlite_database):
        await applied(sqlite_database, last)
    before = await dump(sqlite_database)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(EventsApplier, "apply", fail)
        for _ in range(2):  # the second one does not continue the first one
            with pytest.raises(JobtideError, match="EVENTS: 101 events in a row cannot be applied: a fault"):
                await rebuild_now(nats_client, nats_settings, sqlite_database)
    assert await query(sqlite_database, "SELECT count(*) FROM rebuild_rejection") == [(100,)]
    assert await dump(sqlite_database) == before


async def break_off(client: Client, nats: NatsSettings, database: DatabaseSettings, after: int, **fields: Any) -> int:
    """A rebuild that fails after event ``after``; returns its position."""
    reached = 0

    def fail(stream: str, done: int, _: int) -> None:
        nonlocal reached
        if stream == EVENTS and done >= after:
            reached = done
            raise RuntimeError("killed")

    async with opened(database) as engine:
        with pytest.raises(RuntimeError, match="killed"):
            await rebuild(client, engine, jobstore_settings(nats, database, **fields), [], fail)
    return reached


async def places(client: Client, nats: NatsSettings, database: DatabaseSettings, **fields: Any) -> list[int]:
    """Rebuild; returns the reported sequences of EVENTS."""
    seen: list[int] = []
    async with opened(database) as engine:
        settings = jobstore_settings(nats, database, **fields)
        await rebuild(client, engine, settings, [], lambda stream, done, _: seen.append(done) if stream == EVENTS else None)
    return seen


async def test_an_interrupted_rebuild_continues_from_its_position(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobstore.rebuild.BATCH", 20)
    last, last_report = await tell_all(nats_client, nats_settings, 3, 120, 60)
    async with running(nats_settings, database, **NODE_SETTINGS):
        await applied(database, last)
        await applied(database, last_report, NODES)
    incremental = await dump(database, without=("position.build",))
    reached = await break_off(nats_client, nats_settings, database, 60, **NODE_SETTINGS)
    assert min(await places(nats_client, nats_settings, database, **NODE_SETTINGS)) > reached
    assert await dump(database, without=("position.build",)) == incremental
    assert not [table for table in await shape(database) if table.startswith("rebuild_")]


async def test_an_interrupted_rebuild_is_not_continued_with_other_settings(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobstore.rebuild.BATCH", 20)
    await tell_all(nats_client, nats_settings, 3, 120, 60)
    await break_off(nats_client, nats_settings, database, 60, **NODE_SETTINGS)
    assert min(await places(nats_client, nats_settings, database)) <= 20


async def test_a_connection_that_is_lost_during_the_switch_repeats_what_did_not_take_effect(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over MariaDB the tables are renamed then, over the others the transaction is undone."""
    tries: list[str] = []

    def lost_once(dialect: Dialect) -> Callable[[AsyncConnection, Switch], Awaitable[None]]:
        replace = dialect.replace

        async def lost(connection: AsyncConnection, switch: Switch) -> None:
            await replace(connection, switch)
            tries.append(dialect.name)
            if len(tries) == 1:
                raise Unavailable("database: the connection was lost")

        return lost

    await tell_all(nats_client, nats_settings, 3, 120, 60)
    before = await dump_of_a_rebuild(nats_client, nats_settings, database)
    for dialect in DIALECTS:
        monkeypatch.setattr(dialect, "replace", lost_once(dialect))
    assert await places(nats_client, nats_settings, database)
    assert tries in (["mariadb"], ["sqlite"] * 2, ["postgresql"] * 2)
    assert await dump(database, without=("position.build",)) == before


async def test_the_second_of_two_concurrent_rebuilds_fails(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobstore.rebuild.BATCH", 20)
    last, _ = await tell_all(nats_client, nats_settings, 3, 120, 60)
    ends = await asyncio.gather(*(places(nats_client, nats_settings, database) for _ in range(2)), return_exceptions=True)
    assert any(not isinstance(end, BaseException) for end in ends) or await places(nats_client, nats_settings, database)
    assert await dump(database, without=("position.build",)) == await dump_of_a_rebuild(nats_client, nats_settings, database)
    assert (await progress_of(database)).events == last


async def test_a_rebuild_gives_up_when_another_one_has_created_the_tables_again(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would reset the position of the other one, which would apply events again to rows that have them."""
    monkeypatch.setattr("services.jobstore.rebuild.BATCH", 20)
    last, _ = await tell_all(nats_client, nats_settings, 3, 120, 60)
    seed = Rebuild._seed

    async def seed_late(self: Rebuild, *arguments: Any) -> None:
        monkeypatch.setattr(Rebuild, "_seed", seed)
        await break_off(nats_client, nats_settings, database, 60)
        await seed(self, *arguments)

    monkeypatch.setattr(Rebuild, "_seed", seed_late)
    with pytest.raises(LostRace, match="another rebuild has begun"):
        await places(nats_client, nats_settings, database)
    assert min(await places(nats_client, nats_settings, database)) > 60, "the other one is not continued"
    assert await dump(database, without=("position.build",)) == await dump_of_a_rebuild(nats_client, nats_settings, database)
    assert (await progress_of(database)).events == last


async def dump_of_a_rebuild(client: Client, nats: NatsSettings, database: DatabaseSettings) -> Any:
    await places(client, nats, database)
    return await dump(database, without=("position.build",))


class Seen(list[tuple[int, int]]):
    """What was read since the last call of ``clear``, without reads that had begun before."""

    since = 0

    def clear(self) -> None:
        super().clear()
        self.since += 1


@asynccontextmanager
async def readers(database: DatabaseSettings, count: int = 3) -> AsyncIterator[Seen]:
    """Read in a loop like the gateway, with two statements per transaction; errors fail the block."""
    seen = Seen()
    stop = asyncio.Event()

    def look(connection: sqlalchemy.Connection) -> tuple[int, int]:
        tagged = connection.scalar(text("SELECT count(*) FROM jobtag JOIN tag ON tag.id = jobtag.tag_id"))
        return int(connection.scalar(text("SELECT count(*) FROM job")) or 0), int(tagged or 0)

    async def read_on() -> None:
        async with opened(database, read_only=True) as engine:
            while not stop.is_set():
                since = seen.since
                found = await read(engine, look)
                if since == seen.since:
                    seen.append(found)
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(read_on())
        try:
            yield seen
        finally:
            stop.set()


async def test_rebuild_beside_a_running_jobstore_loses_and_repeats_nothing(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    starts: list[Event] = [job_started(n, tags=[TAGS[n % 4]]) for n in range(1, 201)]
    stops: list[Event] = [job_stopped(n) for n in range(1, 201)]
    last = await tell(nats_client, nats_settings, starts, tag="start")
    async with running(nats_settings, database, batch=20), readers(database) as seen:
        await applied(database, last[-1])
        seen.clear()

        async def keep_telling() -> int:
            sequences: list[int] = []
            for first in range(0, 200, 10):
                sequences += await tell(nats_client, nats_settings, stops[first : first + 10], tag=f"stop{first}-")
            return sequences[-1]

        telling = asyncio.create_task(keep_telling())
        for _ in range(3):
            await rebuild_now(nats_client, nats_settings, database)
        await applied(database, await telling)
    assert set(seen) == {(200, 200)}
    assert len(seen) > 10
    assert await query(database, "SELECT job_state, count(*), sum(duration) FROM job GROUP BY job_state") == [("completed", 200, 720_000)]
    incremental = await dump(database, without=("position.build",))
    await rebuild_now(nats_client, nats_settings, database)
    assert await dump(database, without=("position.build",)) == incremental
    assert (await progress_of(database)).build == 4


async def test_jobs_whose_start_has_expired_come_from_the_archive(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    gone = [job_started(1), job_stopped(1), job_started(2)]
    left = [job_stopped(2, start_time=START_TIME), job_started(3), job_stopped(3)]
    await tell(nats_client, nats_settings, [*gone, *left])
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=4)

    def imported(job_id: int) -> JobImported:
        facts = dict(job_started(job_id, monitoring_status=3))
        return JobImported(**facts, job_state=JobState.COMPLETED, duration=3600)

    archived = [ArchivedJob(3, imported(2)), ArchivedJob(1, imported(1)), ArchivedJob(5, imported(3))]
    await rebuild_now(nats_client, nats_settings, database, archived)
    rows = await query(database, "SELECT id, job_id, job_state, monitoring_status, changed_seq FROM job ORDER BY id")
    assert rows == [(1, 1, "completed", 3, 1), (3, 2, "completed", 3, 3), (5, 3, "completed", 1, 6)]
    async with running(nats_settings, database):
        (sequence,) = await tell(nats_client, nats_settings, [job_started(4)], tag="new")
        await applied(database, sequence)
    assert await query(database, "SELECT max(id) FROM job") == [(7,)]


async def test_rows_that_neither_log_nor_archive_has_are_copied(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    gone: list[Event] = [
        job_started(1, tags=TAGS[:2]),  # 1, runs
        job_started(2, monitoring_status=0),  # 2
        job_stopped(2),
        job_started(3, tags=TAGS[1:3], meta_data={"jobName": "lbm"}),  # 4, its stop is left
        job_stopped(99),  # 5, waits for its start
        job_started(1),  # 6
        job_started(1, start_time=START_TIME + 1),  # 7, refused
        job_started(4, monitoring_status=3),  # 8, its archive entry is there
    ]
    left: list[Event] = [job_stopped(3), JobTagged(id=1, cluster="fritz", tags=[TAGS[3]]), job_started(5), job_stopped(5)]
    sequences = await tell(nats_client, nats_settings, [*gone, *left])
    async with running(nats_settings, database):
        await applied(database, sequences[-1])
    before = await dump(database, without=("position",))
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=9)
    facts = dict(job_started(4, monitoring_status=3))
    archived = [ArchivedJob(8, JobImported(**facts, job_state=JobState.RUNNING, duration=0))]
    await rebuild_now(nats_client, nats_settings, database, archived)
    assert await dump(database, without=("position",)) == before
    async with running(nats_settings, database):
        (sequence,) = await tell(nats_client, nats_settings, [job_stopped(1)], tag="new")
        await applied(database, sequence)
    assert await query(database, "SELECT count(*) FROM job WHERE job_state = 'completed'") == [(4,)]


async def test_remaining_events_of_jobs_whose_start_has_expired_apply_once(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    gone: list[Event] = [
        job_started(1),  # 1, runs
        job_started(2, start_time=START_TIME),  # 2
        job_stopped(9, start_time=START_TIME + 9),  # 3, overtook its start
        job_started(3, tags=[TAGS[0]]),  # 4
        JobDeleted(id=77, cluster="fritz"),  # 5, of a job that is not there
        job_started(6),  # 6, will be deleted
        JobDeleted(id=6, cluster="fritz"),  # 7
    ]
    left: list[Event] = [
        job_started(4, tags=TAGS[1:3]),  # 8 makes both tags
        JobTagged(id=1, cluster="fritz", tags=[TAGS[1]]),
        job_started(2, start_time=START_TIME + 5),  # 10, refused: its id is in use
        job_stopped(2, start_time=START_TIME),
        job_started(9, start_time=START_TIME + 9),  # 12, ends at once
        JobArchived(id=2, cluster="fritz", footprint={"a": 0.1}, energy=1.25, energy_footprint={"b": 1.0}),
    ]
    sequences = await tell(nats_client, nats_settings, [*gone, *left])
    async with running(nats_settings, database):
        await applied(database, sequences[-1])
    before = await dump(database, without=("position",))
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=8)

    def imported(job_id: int, tags: Sequence[Tag]) -> JobImported:
        return JobImported(**dict(job_started(job_id, tags=list(tags))), job_state=JobState.COMPLETED, duration=1)

    await rebuild_now(nats_client, nats_settings, database, [ArchivedJob(6, imported(6, []))])  # deleted since
    assert await dump(database, without=("position",)) == before
    # A stop is copied while it is parked, and its start is applied before the jobs are copied.
    columns = "stop_seq, job_id, cluster, start_time, start_time + duration, job_state, NULL, 'x', 0.0, NULL, 0"
    async with opened(database) as engine, transaction(engine) as connection:
        await connection.execute(text(f"INSERT INTO parked_stop SELECT {columns} FROM job WHERE id = 12"))
    await rebuild_now(nats_client, nats_settings, database, [])
    assert await dump(database, without=("position",)) == before
    # An archive entry has a tag of another job, and one that has since been removed.
    await rebuild_now(nats_client, nats_settings, database, [ArchivedJob(3, imported(7, [TAGS[0], TAGS[3]]))])
    assert await query(database, "SELECT count(*) FROM jobtag WHERE job_id = 3") == [(2,)]


async def test_edits_of_deleted_jobs_and_tags_whose_events_have_expired_are_not_rejections(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    gone: list[Event] = [job_started(1, tags=[TAGS[0]]), job_started(2, tags=[TAGS[1]]), JobDeleted(id=66, cluster="fritz")]
    left: list[Event] = [
        JobMetadataEdited(id=1, cluster="fritz", key="note", value="x"),
        JobUntagged(id=2, cluster="fritz", tags=[TAGS[1]]),
        JobTagged(id=1, cluster="fritz", tags=[TAGS[2]]),
        TagRemoved(tag=TAGS[1]),
        JobDeleted(id=1, cluster="fritz"),
        JobDeleted(id=1, cluster="fritz"),  # refused, and that stays
    ]
    sequences = await tell(nats_client, nats_settings, [*gone, *left])
    async with running(nats_settings, database):
        await applied(database, sequences[-1])
    before = await dump(database, without=("position",))
    assert [row[0] for row in before["rejection"]] == [3, 9]
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=4)
    await rebuild_now(nats_client, nats_settings, database)
    after = await dump(database, without=("position",))
    for table in ("job", "rejection", "job_deletion"):
        assert after[table] == before[table]


async def test_archived_jobs_are_read_in_pages(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobstore.seeding.ARCHIVE_PAGE", 10)
    await tell(nats_client, nats_settings, [job_started(n) for n in range(1, 101)])
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=100)
    alive: weakref.WeakValueDictionary[int, JobImported] = weakref.WeakValueDictionary()
    most = 0

    def archive() -> Iterator[ArchivedJob]:
        nonlocal most
        for n in reversed(range(1, 100)):
            event = JobImported(**dict(job_started(n, tags=[TAGS[n % 2]])), job_state=JobState.COMPLETED, duration=n)
            alive[n] = event
            yield ArchivedJob(n, event)
            most = max(most, len(alive))

    await rebuild_now(nats_client, nats_settings, database, archive())
    assert most <= 30
    assert await query(database, "SELECT count(*), sum(duration), min(id) FROM job") == [(100, sum(range(1, 100)), 1)]
    assert await query(database, "SELECT count(*) FROM jobtag") == [(99,)]


async def test_an_id_of_the_archive_that_another_job_has_is_not_used(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    sequences = await tell(nats_client, nats_settings, [job_started(1), job_started(2), job_started(3)])
    async with running(nats_settings, database):
        await applied(database, sequences[-1])
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(EVENTS), seq=3)
    foreign = JobImported(**dict(job_started(77)), job_state=JobState.COMPLETED, duration=1)
    nameless = JobImported(**dict(job_started(2)), job_state=JobState.COMPLETED, duration=5)
    await rebuild_now(nats_client, nats_settings, database, [ArchivedJob(1, foreign), ArchivedJob(None, nameless)])
    assert await query(database, "SELECT id, job_id, duration FROM job ORDER BY id") == [(1, 1, 0), (2, 2, 5), (3, 3, 0)]


@pytest.mark.parametrize("seed", [9, 10])
async def test_node_history_whose_reports_have_expired_is_copied(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, seed: int
) -> None:
    reports = random_reports(seed, 60)
    sequences = await tell(nats_client, nats_settings, reports, times(seed, 60, 60), "n")
    async with running(nats_settings, database, **NODE_SETTINGS):
        await applied(database, sequences[-1], NODES)
    before = await dump(database, without=("position",))
    await nats_client.jetstream(timeout=20).purge_stream(nats_settings.stream(NODES), seq=41)
    await rebuild_now(nats_client, nats_settings, database)
    after = await dump(database, without=("position",))
    for table in ("node", "node_state", "node_health"):
        assert after[table] == before[table]
