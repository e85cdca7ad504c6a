"""Columns for readers that follow changes: ``changed_seq`` of jobs, deletions, and names and hosts for searches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import opened, read, transaction
from shared.database.progress import Progress, progress
from shared.database.tables import tables
from shared.domain.advice import advice_of
from shared.domain.events import (
    ApplicationsDetected,
    Event,
    HousekeepingDue,
    JobAdvice,
    JobAdviceMuted,
    JobAdvised,
    JobApplications,
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
from shared.domain.recorded import IntakeOrigin
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

# Jobs 1 and 2 have ended and have the tag CFD. The event under test has sequence 5.
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
    (job_stopped(1, stop_time=T + 5), {1}),  # the earlier stop belongs to the run
    (job_stopped(1, stop_time=T + 3605), set()),
    (job_started(1), set()),
    (JobDeleted(id=404, cluster="fritz"), set()),
]


@pytest.mark.parametrize(("event", "touched"), EVENTS, ids=[type(event).__name__ for event, _ in EVENTS])
@pytest.mark.parametrize("together", [True, False])
async def test_changed_seq_is_the_last_event_that_changed_the_job(
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


async def test_a_removed_tag_and_other_changes_of_one_batch_apply_in_order(engine: AsyncEngine, database: DatabaseSettings) -> None:
    starts = records([job_started(n, tags=[CFD]) for n in range(1, 5)])
    rest = records([job_stopped(1), on_job(JobUntagged, id=2, tags=[CFD]), TagRemoved(tag=CFD), job_stopped(3)], first=5)
    await apply(engine, starts, rest)
    assert await changed(database) == {1: 7, 2: 6, 3: 8, 4: 7}


async def test_a_parked_stop_changes_the_job_when_its_start_arrives(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records([job_stopped(1)]), records([job_started(1)], first=2))
    assert await query(database, "SELECT changed_seq, stop_seq FROM job") == [(2, 1)]


async def test_the_walltime_rule_is_a_change(engine: AsyncEngine, database: DatabaseSettings) -> None:
    due = HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=600, walltime_grace_s=0)
    await apply(engine, [*records([job_started(1, walltime=10), job_started(2, walltime=0)]), record(3, due, RECEIVED)])
    assert await changed(database) == {1: 3, 2: 2}


@pytest.mark.parametrize("sizes", [[3], [1, 1, 1], []])
async def test_a_deletion_records_the_user_and_project_of_the_job(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    log = records([job_started(1, user="bob", project="p"), job_stopped(1), on_job(JobDeleted), on_job(JobDeleted), job_started(1)])
    await apply(engine, *split(log, sizes))
    assert await query(database, "SELECT seq, job, cluster, hpc_user, project FROM job_deletion") == [(3, 1, "fritz", "bob", "p")]
    assert await query(database, "SELECT id, changed_seq FROM job") == [(5, 5)]


@pytest.mark.parametrize("sizes", [[1] * 5, [2], []])
async def test_rereading_the_intake_does_not_restore_a_deleted_job(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    def of_intake(sequence: int, event: Event, line: int) -> Record:
        return record(sequence, event, RECEIVED, IntakeOrigin("INTAKE@2026", 1, line).message_id())

    log = [of_intake(1, job_started(1), 1), of_intake(2, job_stopped(1), 2), record(3, on_job(JobDeleted), RECEIVED + 1)]
    log += [of_intake(4, job_started(1), 1), of_intake(5, job_stopped(1), 2)]
    await apply(engine, *split(log, sizes))
    for table in ("job", "parked_stop", "rejection"):
        assert await query(database, f"SELECT * FROM {table}") == []
    run = (1, "fritz", T, T + 3600, "completed", RECEIVED + 1)
    assert await query(database, "SELECT job_id, cluster, start_time, stop_time, job_state, deleted_at FROM job_deletion") == [run]


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


async def test_the_hosts_of_a_job_are_separated_by_blanks(engine: AsyncEngine, database: DatabaseSettings) -> None:
    hosts = [Resource(hostname=name) for name in ("f0102", "f0101", "é")]
    await apply(engine, records([job_started(1, resources=hosts, num_nodes=3)]))
    assert await query(database, "SELECT hosts FROM job") == [(" f0102 f0101 é ",)]


def test_progress_changes_only_when_events_were_applied() -> None:
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
    """Jobs with ``changed_seq`` and all columns and tags visible to readers, and deletions by sequence."""
    columns = [column for column in tables.job.c if column.name not in ("changed_seq", "unsettled_until", "archive_due")]
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


def advised(*rules: str, id_: int = 1, applications: Sequence[str] = (), while_running: bool = False) -> JobAdvised:
    advice = [JobAdvice(rule=rule, severity="warning", text=f"{rule} holds.") for rule in rules]
    return JobAdvised(id=id_, cluster="fritz", advice=advice, applications=list(applications), while_running=while_running)


def muted(rule: str, *, muted: bool = True) -> JobAdviceMuted:
    return JobAdviceMuted(id=1, cluster="fritz", rule=rule, muted=muted)


async def tags_of(database: DatabaseSettings) -> list[tuple[int, str, str, str]]:
    text = "SELECT job_id, tag_type, tag_name, tag_scope FROM jobtag JOIN tag ON tag.id = tag_id ORDER BY 1, 2, 3, 4"
    return [tuple(row) for row in await query(database, text)]


async def shown(database: DatabaseSettings) -> list[str]:
    """The rules in the visible advice of job 1."""
    ((column,),) = await query(database, "SELECT advice FROM job WHERE id = 1")
    return [one["rule"] for one in advice_of(column)]


@pytest.mark.parametrize("sizes", [[1] * 6, [3, 3], []])
async def test_advice_replaces_earlier_advice_and_only_its_tags(engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]) -> None:
    private = Tag(type="jobClass", name="lowload", scope="admin")
    own = [Tag(type="jobClass", name=name) for name in ("reviewed", "imbalance")]
    log = records(
        [
            job_started(1, tags=[CFD, private, *own]),
            job_started(2),
            advised("lowload", "hangs", "imbalance", applications=["gromacs"]),
            advised("hangs", id_=2),
            advised("memorybound"),
            advised("nothing", id_=99),
        ]
    )
    await apply(engine, *split(log, sizes))
    assert await tags_of(database) == [
        (1, "app", "gromacs", "global"),
        (1, "area", "cfd", "global"),
        (1, "jobClass", "imbalance", "global"),
        (1, "jobClass", "lowload", "admin"),
        (1, "jobClass", "memorybound", "global"),
        (1, "jobClass", "reviewed", "global"),
        (2, "jobClass", "hangs", "global"),
    ]
    rows = await query(database, "SELECT id, advice, changed_seq FROM job ORDER BY id")
    found = [(id_, [one["rule"] for one in advice_of(advice)], sequence) for id_, advice, sequence in rows]
    assert found == [(1, ["memorybound"], 5), (2, ["hangs"], 4)]
    assert await query(database, "SELECT code FROM rejection") == []


async def test_advice_that_no_longer_holds_is_removed_with_its_tags(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records([job_started(1), advised("hangs"), advised()]))
    assert await query(database, "SELECT advice FROM job") == [(None,)]
    assert await query(database, "SELECT * FROM jobtag") == []


@pytest.mark.parametrize("sizes", [[1] * 4, []])
async def test_advice_on_a_running_job_does_not_replace_that_on_the_ended_job(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    log = records([job_started(1), job_stopped(1), advised("timelimit"), advised("hangs", while_running=True)])
    decisions = await apply(engine, *split(log, sizes))
    assert decisions[-1].kind == "duplicate"
    assert await shown(database) == ["timelimit"]
    assert await tags_of(database) == [(1, "jobClass", "timelimit", "global")]


@pytest.mark.parametrize("sizes", [[1] * 3, []])
async def test_applications_found_at_the_start_do_not_change_the_advice(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    found = JobAdvised(id=1, cluster="fritz", advice=None, applications=["vasp"], while_running=True)
    await apply(engine, *split(records([job_started(1), advised("hangs"), found]), sizes))
    assert await shown(database) == ["hangs"]
    assert await tags_of(database) == [(1, "app", "vasp", "global"), (1, "jobClass", "hangs", "global")]


@pytest.mark.parametrize("sizes", [[1] * 7, [4, 3], []])
async def test_applications_of_several_jobs_become_tags_of_those_that_run(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    named = {1: ["vasp"], 2: ["vasp", "python"], 3: ["vasp"], 99: ["orca"]}
    found = ApplicationsDetected(cluster="fritz", jobs=[JobApplications(id=id_, applications=names) for id_, names in named.items()])
    log = records([job_started(1), job_started(2), job_started(3), job_stopped(3), found, found, job_started(4)])
    decisions = await apply(engine, *split(log, sizes))
    assert [decision.kind for decision in decisions[4:6]] == ["applied", "duplicate"]
    tags = [(1, "app", "vasp", "global"), (2, "app", "python", "global"), (2, "app", "vasp", "global")]
    assert sorted(await tags_of(database)) == tags
    changed = await query(database, "SELECT id, changed_seq FROM job ORDER BY id")
    assert changed == [(1, 5), (2, 5), (3, 4), (7, 7)]


@pytest.mark.parametrize("sizes", [[1] * 5, [3, 2], []])
async def test_a_muted_rule_stays_muted_until_the_user_wants_it_again(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    log = records([job_started(1), advised("hangs", "lowload"), muted("hangs"), advised("lowload"), advised("hangs", "lowload")])
    await apply(engine, *split(log, sizes))
    assert await shown(database) == ["lowload"]
    assert await tags_of(database) == [(1, "jobClass", "lowload", "global")]
    (again, twice) = await apply(engine, records([muted("hangs", muted=False), muted("hangs", muted=False)], first=6))
    assert (again.kind, twice.kind) == ("applied", "duplicate")
    assert await shown(database) == ["hangs", "lowload"]
    assert await tags_of(database) == [(1, "jobClass", "hangs", "global"), (1, "jobClass", "lowload", "global")]


async def test_a_rule_is_muted_before_it_holds(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records([job_started(1), muted("hangs"), advised("hangs")]))
    assert await shown(database) == []
    assert await tags_of(database) == []
    await apply(engine, records([advised(), muted("hangs", muted=False)], first=4))
    assert await query(database, "SELECT advice FROM job") == [(None,)]


@pytest.mark.parametrize(
    "event", [advised("hangs").model_copy(update={"stop_seq": 2}), on_job(JobArchivingFailed, reason="x", attempts=3, stop_seq=2)]
)
async def test_outcomes_of_an_earlier_end_do_not_change_the_current_one(
    engine: AsyncEngine, database: DatabaseSettings, event: Event
) -> None:
    """The end of job 1 is that of event 3, which replaced event 2 before the archiver had handled it."""
    await apply(engine, records([job_started(1), JobMetadataEdited(id=1, cluster="fritz", key="a", value="b"), job_stopped(1), event]))
    assert await query(database, "SELECT advice, monitoring_status, stop_seq FROM job") == [(None, 1, 3)]


async def test_requesting_archiving_does_not_enable_monitoring(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records([job_started(1, monitoring_status=0), job_stopped(1), on_job(JobArchiveRequested)]))
    assert await query(database, "SELECT monitoring_status FROM job") == [(0,)]
