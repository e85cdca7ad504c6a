"""What readers follow: the last event that changed a job or its tags, jobs that went, names and hosts to search by."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import opened, transaction
from shared.database.progress import Progress, progress
from shared.database.reading import read
from shared.database.tables import tables
from shared.domain.events import (
    Event,
    HousekeepingDue,
    JobArchived,
    JobArchiveRequested,
    JobArchivingFailed,
    JobDeleted,
    JobMeasurement,
    JobMetadataEdited,
    JobsMeasured,
    JobTagged,
    JobUntagged,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.domain.payloads import Resource
from shared.settings import DatabaseSettings
from tests.jobstore.logs import RECEIVED, Record, apply, record, records, split
from tests.jobstore.test_properties import logs
from tests.support.builders import START_TIME, job_started, job_stopped
from tests.support.databases import SqliteTemplate, query
from tests.support.programs import run_blocking

CFD, MD = Tag(type="area", name="cfd"), Tag(type="area", name="md")
T = START_TIME


async def changed(database: DatabaseSettings) -> dict[int, int]:
    """By scheduler id."""
    return {row[0]: row[1] for row in await query(database, "SELECT job_id, changed_seq FROM job")}


def on_job(kind: type[Event], **fields: Any) -> Event:
    return kind.model_validate({"id": 1, "cluster": "fritz", **fields})


ARCHIVED = {"footprint": {}, "energy": 0.0, "energy_footprint": {}}

# Two jobs, 1 and 2, have ended and have the tag CFD; then comes one event, 5.
EVENTS: list[tuple[Event, set[int]]] = [
    (on_job(JobTagged, tags=[MD]), {1}),
    (on_job(JobTagged, tags=[CFD]), set()),
    (on_job(JobUntagged, tags=[CFD]), {1}),
    (on_job(JobUntagged, tags=[MD]), set()),
    (TagRemoved(tag=CFD), {1, 2}),
    (TagRemoved(tag=MD), set()),
    (TagCreated(tag=MD), set()),
    (on_job(JobMetadataEdited, key="note", value="x"), {1}),
    (on_job(JobArchived, **ARCHIVED), {1}),
    (on_job(JobArchivingFailed, reason="x", attempts=1), {1}),
    (on_job(JobArchiveRequested), {1}),
    (JobsMeasured(cluster="fritz", jobs=[JobMeasurement(id=1, energy=1.0)]), set()),
    (job_stopped(1), set()),
    (job_stopped(1, stop_time=T + 5), set()),
    (job_started(1), set()),
    (JobDeleted(id=404, cluster="fritz"), set()),
]


@pytest.mark.parametrize(("event", "touched"), EVENTS, ids=[type(event).__name__ for event, _ in EVENTS])
@pytest.mark.parametrize("together", [True, False])
async def test_a_job_knows_the_last_event_that_changed_it(
    engine: AsyncEngine, database: DatabaseSettings, event: Event, touched: set[int], *, together: bool
) -> None:
    log = records([job_started(1, tags=[CFD]), job_started(2, tags=[CFD]), job_stopped(1), job_stopped(2), event])
    await apply(engine, *([log] if together else split(log, [4])))
    assert await changed(database) == {1: 3, 2: 4} | dict.fromkeys(touched, 5)


@pytest.mark.parametrize("sizes", [[4, 1], [1] * 6, []])
async def test_measured_jobs_share_the_sequence_of_the_measurement(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    found = [
        JobMeasurement(id=n, footprint={"b_avg": 1e-9, "a_max": float(n)}, energy=0.25, energy_footprint={"p": 0.25}) for n in (1, 2, 3)
    ]
    log = records([*(job_started(n) for n in (1, 2, 3)), job_stopped(2), JobsMeasured(cluster="fritz", jobs=found), job_started(4)])
    await apply(engine, *split(log, sizes))
    rows = await query(database, "SELECT job_id, changed_seq, footprint, energy, energy_footprint FROM job ORDER BY id")
    assert rows == [
        (1, 5, '{"a_max":1.0,"b_avg":1e-9}', 0.25, '{"p":0.25}'),
        (2, 4, None, 0.0, None),
        (3, 5, '{"a_max":3.0,"b_avg":1e-9}', 0.25, '{"p":0.25}'),
        (4, 6, None, 0.0, None),
    ]


async def test_a_removed_tag_and_other_changes_of_one_batch_count_in_their_order(engine: AsyncEngine, database: DatabaseSettings) -> None:
    starts = records([job_started(n, tags=[CFD]) for n in range(1, 5)])
    rest = records([job_stopped(1), on_job(JobUntagged, id=2, tags=[CFD]), TagRemoved(tag=CFD), job_stopped(3)], first=5)
    await apply(engine, starts, rest)
    assert await changed(database) == {1: 7, 2: 6, 3: 8, 4: 7}


async def test_a_stop_that_waited_changes_the_job_when_its_start_comes(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records([job_stopped(1)]), records([job_started(1)], first=2))
    assert await query(database, "SELECT changed_seq, stop_seq FROM job") == [(2, 1)]


async def test_the_walltime_rule_is_a_change(engine: AsyncEngine, database: DatabaseSettings) -> None:
    due = HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=600, walltime_grace_s=0)
    await apply(engine, [*records([job_started(1, walltime=10), job_started(2, walltime=0)]), record(3, due, RECEIVED)])
    assert await changed(database) == {1: 3, 2: 2}


@pytest.mark.parametrize("sizes", [[3], [1, 1, 1], []])
async def test_a_deleted_job_leaves_who_might_have_seen_it(engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]) -> None:
    log = records([job_started(1, user="bob", project="p"), job_stopped(1), on_job(JobDeleted), on_job(JobDeleted), job_started(1)])
    await apply(engine, *split(log, sizes))
    assert await query(database, "SELECT seq, job, cluster, hpc_user, project FROM job_deletion") == [(3, 1, "fritz", "bob", "p")]
    assert await query(database, "SELECT id, changed_seq FROM job") == [(5, 5)]


@pytest.mark.parametrize("sizes", [[1, 1, 1], []])
async def test_the_name_of_a_job_follows_its_metadata(engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]) -> None:
    edits = [("note", "x"), ("jobName", "b"), ("jobName", "nul\0 é")]
    log = records(
        [
            *(job_started(1, meta_data={"jobName": "a"}), job_started(2, meta_data={"other": "a"}), job_started(3)),
            *(on_job(JobMetadataEdited, id=n, key=key, value=value) for n in (1, 3) for key, value in edits[: n + 1]),
        ]
    )
    await apply(engine, *split(log, sizes))
    assert await query(database, "SELECT job_id, job_name FROM job ORDER BY id") == [(1, "b"), (2, None), (3, "nul\ufffd é")]


async def test_the_hosts_of_a_job_stand_between_blanks(engine: AsyncEngine, database: DatabaseSettings) -> None:
    hosts = [Resource(hostname=name) for name in ("f0102", "f0101", "é")]
    await apply(engine, records([job_started(1, resources=hosts, num_nodes=3)]))
    assert await query(database, "SELECT hosts FROM job") == [(" f0102 f0101 é ",)]


def test_progress_follows_only_what_went_on() -> None:
    before = Progress(1, 10, 5)
    assert Progress(1, 10, 5).follows(before)
    assert Progress(1, 11, 6).follows(before)
    assert not Progress(2, 11, 6).follows(before)
    assert not Progress(1, 11, 6, "another").follows(before)
    assert not Progress(1, 9, 6).follows(before)
    assert not Progress(1, 11, 4).follows(before)


async def test_before_the_first_event_there_is_no_progress(engine: AsyncEngine) -> None:
    assert await read(engine, progress) == Progress(0, 0, 0)


Seen = dict[int, tuple[int, tuple[Any, ...]]]


async def look(engine: AsyncEngine) -> tuple[Seen, dict[int, tuple[Any, ...]]]:
    """Jobs with ``changed_seq`` and everything else of them, tags too; the deletions by sequence."""
    columns = [column for column in tables.job.c if column.name != "changed_seq"]
    async with transaction(engine) as connection:
        rows = (await connection.execute(select(tables.job.c.changed_seq, *columns))).all()
        pairs = (await connection.execute(select(tables.jobtag.c.job_id, tables.jobtag.c.tag_id).order_by(tables.jobtag.c.tag_id))).all()
        deletions = (await connection.execute(select(tables.job_deletion))).all()
    jobs = {row.id: (row[0], (*row[1:], *(tag for job, tag in pairs if job == row.id))) for row in rows}
    return jobs, {row[0]: tuple(row[1:]) for row in deletions}


async def check_every_step(database: DatabaseSettings, log: list[Record]) -> None:
    async with opened(database) as engine:
        jobs, deletions = await look(engine)
        for step in log:
            (decision,) = await apply(engine, [step])
            after, gone = await look(engine)
            for id_, (sequence, content) in after.items():
                before = jobs.get(id_)
                if before is None or before[1] != content:
                    assert sequence == step.sequence
                if before is not None and before[0] != sequence:
                    assert (sequence, decision.kind) == (step.sequence, "applied")
            left = [(seq, row[0]) for seq, row in gone.items() if seq not in deletions]
            assert left == [(step.sequence, id_) for id_ in jobs.keys() - after.keys()]
            jobs, deletions = after, gone


@given(log=logs())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_nothing_changes_without_a_new_sequence(sqlite_template: SqliteTemplate, tmp_path: Path, log: list[Record]) -> None:
    run_blocking(check_every_step(sqlite_template.fresh(tmp_path), log))
