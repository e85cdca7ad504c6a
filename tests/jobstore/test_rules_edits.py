"""Rules for edits by people and the archiver, and unreadable messages."""

from collections.abc import Sequence

import pytest

from services.jobstore.rules import Limits, UnitOfWork, fold
from services.jobstore.rules.fold import buried
from shared.database.engine import opened
from shared.domain import reasons
from shared.domain.events import (
    Event,
    HousekeepingDue,
    IntakeRejected,
    JobArchived,
    JobArchiveRequested,
    JobArchivingFailed,
    JobDeleted,
    JobImported,
    JobMeasurement,
    JobMetadataEdited,
    JobsMeasured,
    JobStopped,
    JobTagged,
    JobUntagged,
    LogContinued,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.domain.recorded import IntakeOrigin, Unreadable
from shared.domain.values import JobState
from shared.errors import Refused
from shared.settings import DatabaseSettings
from tests.jobstore.logs import RECEIVED, Memory, apply, record, records
from tests.support.builders import START_TIME, job_started, job_stopped
from tests.support.databases import query

CFD, MD, PRIVATE = Tag(type="area", name="cfd"), Tag(type="area", name="md"), Tag(type="area", name="cfd", scope="alice")


def tagged(id_: int, *tags: Tag) -> JobTagged:
    return JobTagged(id=id_, cluster="fritz", tags=list(tags))


def untagged(id_: int, *tags: Tag) -> JobUntagged:
    return JobUntagged(id=id_, cluster="fritz", tags=list(tags))


def edited(id_: int, key: str, value: str) -> JobMetadataEdited:
    return JobMetadataEdited(id=id_, cluster="fritz", key=key, value=value)


def archived(id_: int, energy: float = 2.5) -> JobArchived:
    return JobArchived(id=id_, cluster="fritz", footprint={"load_avg": 1.0}, energy=energy, energy_footprint={"power": energy})


def measured(*ids: int, energy: float = 0.5) -> JobsMeasured:
    jobs = [JobMeasurement(id=id_, footprint={"load_avg": 1.0}, energy=energy, energy_footprint={"power": energy}) for id_ in ids]
    return JobsMeasured(cluster="fritz", jobs=jobs)


def failed(id_: int) -> JobArchivingFailed:
    return JobArchivingFailed(id=id_, cluster="fritz", reason="away", attempts=3)


def requested(id_: int) -> JobArchiveRequested:
    return JobArchiveRequested(id=id_, cluster="fritz")


def deleted(id_: int) -> JobDeleted:
    return JobDeleted(id=id_, cluster="fritz")


def names(memory: Memory) -> set[tuple[int, str]]:
    """Job id and tag name of all attached tags."""
    of_id = {id_: f"{tag.name}/{tag.scope}" for id_, tag in memory.work.new_tags.items()}
    return {(job, of_id[tag]) for job, tag in memory.work.jobtags}


START = job_started(1)
TAG_CASES: list[tuple[str, Sequence[Event], str, set[tuple[int, str]], set[Tag]]] = [
    ("a tag is created and attached", [START, tagged(1, CFD)], "AA", {(1, "cfd/global")}, {CFD}),
    ("a tag is attached once", [START, tagged(1, CFD), tagged(1, CFD)], "AAD", {(1, "cfd/global")}, {CFD}),
    ("a part of them is new", [START, tagged(1, CFD), tagged(1, CFD, MD)], "AAA", {(1, "cfd/global"), (1, "md/global")}, {CFD, MD}),
    ("scopes are different tags", [START, tagged(1, CFD, PRIVATE)], "AA", {(1, "cfd/global"), (1, "cfd/alice")}, {CFD, PRIVATE}),
    ("no tags change nothing", [START, tagged(1)], "AD", set(), set()),
    ("a tag is taken off and stays", [START, tagged(1, CFD), untagged(1, CFD)], "AAA", set(), {CFD}),
    ("one that is not on it", [START, TagCreated(tag=CFD), untagged(1, CFD)], "AAD", set(), {CFD}),
    ("one that does not exist", [START, tagged(1, CFD), untagged(1, CFD, MD)], "AAR", {(1, "cfd/global")}, {CFD}),
    ("a tag is created alone", [TagCreated(tag=CFD)], "A", set(), {CFD}),
    ("a tag is created once", [TagCreated(tag=CFD), TagCreated(tag=CFD)], "AD", set(), {CFD}),
    ("a tag is removed from every job", [START, tagged(1, CFD, MD), TagRemoved(tag=CFD)], "AAA", {(1, "md/global")}, {MD}),
    ("a tag that does not exist is not removed", [TagRemoved(tag=CFD)], "R", set(), set()),
    ("a removed tag can come back", [START, tagged(1, CFD), TagRemoved(tag=CFD), tagged(1, CFD)], "AAAA", {(1, "cfd/global")}, {CFD}),
    ("deleting a job takes its tags off", [START, tagged(1, CFD), deleted(1)], "AAA", set(), {CFD}),
]


@pytest.mark.parametrize(("events", "kinds", "attached", "tags"), [case[1:] for case in TAG_CASES], ids=[case[0] for case in TAG_CASES])
def test_tags(events: Sequence[Event], kinds: str, attached: set[tuple[int, str]], tags: set[Tag]) -> None:
    memory = Memory()
    assert "".join(decision.kind[0].upper() for decision in memory.apply(*events)) == kinds
    assert names(memory) == attached
    assert set(memory.work.new_tags.values()) == tags
    assert set(memory.codes()) <= {reasons.TAG_NOT_FOUND}


def test_tag_ids_follow_from_the_log_alone() -> None:
    memory = Memory(sequence=9)
    memory.apply(job_started(1, tags=[CFD, MD]), TagCreated(tag=PRIVATE))
    assert memory.work.tags == {CFD.key: 10 * 1024, MD.key: 10 * 1024 + 1, PRIVATE.key: 11 * 1024}


def test_metadata_is_set_key_by_key() -> None:
    memory = Memory()
    assert {d.kind for d in memory.apply(START, edited(1, "note", "a"), edited(1, "note", "b"), edited(1, "other", ""))} == {"applied"}
    assert memory.job(1).metadata_changes == {"note": "b", "other": ""}


def test_a_deleted_job_is_removed_and_its_run_can_be_created_again() -> None:
    memory = Memory()
    decisions = memory.apply(START, deleted(1), deleted(1), edited(1, "note", "a"), START)
    assert [(d.kind, d.code) for d in decisions] == [
        ("applied", None),
        ("applied", None),
        ("refused", reasons.JOB_NOT_FOUND),
        ("refused", reasons.JOB_NOT_FOUND),
        ("applied", None),
    ]
    assert list(memory.work.jobs) == [5]


def test_a_stop_of_a_deleted_job_waits_for_a_start() -> None:
    memory = Memory()
    assert [d.kind for d in memory.apply(START, deleted(1), job_stopped(1))] == ["applied", "applied", "waiting"]


@pytest.mark.parametrize(
    ("stop", "codes"),
    [
        (job_stopped(1), []),
        (job_stopped(1, cluster=None), []),
        (job_stopped(1, start_time=START_TIME), []),
        (job_stopped(1, start_time=START_TIME + 1), ["start_never_came"]),
        (job_stopped(1, stop_time=START_TIME - 1), ["start_never_came"]),
        (job_stopped(1, cluster="alex"), ["start_never_came"]),
        (job_stopped(2), ["start_never_came"]),
    ],
)
def test_the_stop_of_a_job_that_was_deleted_while_it_ran_is_no_rejection(stop: JobStopped, codes: list[str]) -> None:
    memory = Memory()
    memory.apply(START, deleted(1), stop)
    memory.pass_time()
    assert (memory.work.jobs, memory.codes()) == ({}, codes)


def test_the_stop_of_a_job_that_was_deleted_after_its_end_is_no_rejection_only_as_a_copy() -> None:
    memory = Memory()
    memory.apply(START, job_stopped(1), deleted(1), job_stopped(1, stop_time=START_TIME + 7))
    memory.pass_time()
    assert memory.codes() == ["start_never_came"]


async def test_a_deletion_that_was_stored_long_before_is_known_when_the_stop_has_waited(database: DatabaseSettings) -> None:
    due = HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=10**9)
    async with opened(database) as engine:
        await apply(engine, records([START, deleted(1)], at=float(START_TIME)))
        await apply(engine, records([job_stopped(1)], first=10, at=float(START_TIME + 60)))
        await apply(engine, records([due], first=20, at=float(START_TIME + 3600)))
    assert await query(database, "SELECT 1 FROM parked_stop") == []
    assert await query(database, "SELECT code FROM rejection") == []


def of_intake(sequence: int) -> str:
    return IntakeOrigin("INTAKE@2026", sequence, 1, 0).message_id()


def deleted_after_its_end(memory: Memory) -> None:
    for sequence, event in enumerate([START, job_stopped(1)], 1):
        memory.apply_one(event, RECEIVED, of_intake(sequence))
    memory.apply_one(deleted(1), RECEIVED + 10)


@pytest.mark.parametrize("batches", [1, 2])
def test_redelivered_messages_from_before_a_deletion_do_not_restore_the_job(batches: int) -> None:
    """Ingest may reread its intake from an earlier message, and the log deduplicates message ids only for some minutes."""
    memory = Memory()
    deleted_after_its_end(memory)
    named = job_stopped(1, start_time=START_TIME)
    again = [
        memory.apply_one(event, RECEIVED, of_intake(7)) for event in (START, job_stopped(1), job_stopped(1, cluster=None), named) * batches
    ]
    assert {decision.kind for decision in again} == {"duplicate"}
    memory.pass_time()
    assert (memory.work.jobs, memory.codes()) == ({}, [])


@pytest.mark.parametrize(
    ("event", "at", "message_id"),
    [
        (START, RECEIVED + 11, of_intake(7)),
        (START, RECEIVED, "of another publisher"),
        (job_started(1, start_time=START_TIME + 1), RECEIVED, of_intake(7)),
        (job_started(1, "alex"), RECEIVED, of_intake(7)),
        (JobImported(**dict(START), job_state=JobState.COMPLETED, duration=60), RECEIVED, "import:1"),
    ],
    ids=["received later", "of another publisher", "another run", "another cluster", "an import"],
)
def test_a_new_start_or_import_restores_a_deleted_job(event: Event, at: float, message_id: str) -> None:
    memory = Memory()
    deleted_after_its_end(memory)
    assert memory.apply_one(event, at, message_id).kind == "applied"


def test_a_stop_with_another_end_than_the_deleted_run_waits_for_its_start() -> None:
    memory = Memory()
    deleted_after_its_end(memory)
    assert memory.apply_one(job_stopped(1, stop_time=START_TIME + 5000), RECEIVED, of_intake(7)).kind == "waiting"


@pytest.mark.parametrize("event", [tagged(9, CFD), untagged(9, CFD), edited(9, "k", "v"), deleted(9), requested(9)])
def test_an_edit_of_an_unknown_job_is_refused(event: Event) -> None:
    memory = Memory()
    (decision,) = memory.apply(event)
    assert (decision.kind, decision.code) == ("refused", reasons.JOB_NOT_FOUND)
    assert memory.codes() == [reasons.JOB_NOT_FOUND]
    assert not memory.work.new_tags


@pytest.mark.parametrize("event", [archived(9), failed(9)])
def test_archiving_events_about_a_deleted_job_are_not_refused(event: Event) -> None:
    memory = Memory()
    assert memory.apply(event)[0].kind == "duplicate"
    assert memory.codes() == []


def test_an_archived_job_has_its_final_numbers() -> None:
    memory = Memory()
    assert [d.kind for d in memory.apply(START, job_stopped(1), archived(1))] == ["applied"] * 3
    row = memory.job(1).row
    assert row is not None
    assert (row["monitoring_status"], row["footprint"], row["energy"], row["energy_footprint"]) == (
        3,
        '{"load_avg":1.0}',
        2.5,
        '{"power":2.5}',
    )


def test_failed_archiving_can_be_requested_again() -> None:
    memory = Memory()
    states = []
    for event in (START, job_stopped(1), failed(1), requested(1), archived(1), archived(1, energy=3.0)):
        assert memory.apply_one(event).kind == "applied"
        row = memory.job(1).row
        assert row is not None
        states.append((memory.job(1).monitoring_status, row["archiving_failure"]))
    assert states == [(1, None), (1, None), (2, "away"), (1, "away"), (3, None), (3, None)]


def test_a_running_job_is_not_archived() -> None:
    memory = Memory()
    _, decision = memory.apply(START, requested(1))
    assert (decision.kind, decision.job, decision.code) == ("refused", 1, reasons.JOB_STILL_RUNNING)


def test_a_continued_log_changes_nothing() -> None:
    memory = Memory()
    assert memory.apply(LogContinued())[0].kind == "applied"
    assert not memory.work.refusals


def test_an_entry_with_an_earlier_end_does_not_archive_the_job() -> None:
    memory = Memory()
    memory.apply(START, job_stopped(1))
    memory.job(1).set(archive_due=RECEIVED)
    assert memory.apply(archived(1).model_copy(update={"stop_seq": 1}))[0].kind == "duplicate"
    assert memory.job(1).monitoring_status == 1
    assert memory.apply(archived(1).model_copy(update={"stop_seq": 2}))[0].kind == "applied"
    assert memory.job(1).monitoring_status == 3
    row = memory.job(1).row
    assert row is not None
    assert row["archive_due"] is None  # a request would archive the same end again


# refusals


def test_a_refusal_has_the_position_of_its_line() -> None:
    memory = Memory()
    memory.apply(START, job_stopped(1, start_time=START_TIME))
    origin = IntakeOrigin("INTAKE@2026", 77, 3)
    memory.apply_one(job_started(1, start_time=START_TIME + 1), at=RECEIVED + 5, message_id=origin.message_id())
    (refused,) = memory.work.refusals
    assert (refused.sequence, refused.origin, refused.time) == (3, origin.message_id(), RECEIVED + 5)
    assert (refused.intake_sequence, refused.line, refused.job_id, refused.cluster) == (77, 3, 1, "fritz")
    assert refused.code in reasons.REASONS
    assert refused.excerpt.startswith('{"jobId":1,')
    assert len(refused.excerpt) <= 512


def test_a_line_refused_by_ingest_is_recorded_unchanged() -> None:
    event = IntakeRejected(
        code=reasons.UNKNOWN_FIELD,
        field="exclusive",
        text="is no field",
        subject="cc.job.event",
        stream="I",
        sequence=7,
        line=2,
        excerpt="x",
    )
    memory = Memory()
    assert memory.apply_one(event, message_id="I:7:2:0").kind == "applied"
    (refused,) = memory.work.refusals
    assert (refused.code, refused.field, refused.text, refused.subject) == (
        reasons.UNKNOWN_FIELD,
        "exclusive",
        "is no field",
        "cc.job.event",
    )
    assert (refused.origin, refused.intake_sequence, refused.line, refused.excerpt) == ("I:7:2:0", 7, 2, "x")


def test_refusals_without_a_message_id_are_distinct() -> None:
    event = IntakeRejected(code=reasons.LINE_PROTOCOL, text="", subject="s", stream="I", sequence=7, line=2, excerpt="")
    memory = Memory()
    memory.apply_one(event, message_id="")
    memory.apply_one(event, message_id="")
    memory.apply_one(untagged(9), message_id="")
    assert [refused.origin for refused in memory.work.refusals] == ["log:1", "log:2", "log:3"]


def test_a_message_that_cannot_be_read_is_recorded() -> None:
    work = UnitOfWork()
    unreadable = Unreadable(4, RECEIVED, Refused(reasons.UNREADABLE_EVENT, "no such type", field="ce-type"), "raw")
    decision = fold(work, unreadable, Limits())
    assert (decision.kind, decision.code) == ("refused", reasons.UNREADABLE_EVENT)
    (refused,) = work.refusals
    assert (refused.sequence, refused.origin, refused.field, refused.excerpt) == (4, "log:4", "ce-type", "raw")


def test_the_error_text_of_a_buried_event_is_bounded() -> None:
    of_event = buried(record(4, START), "x" * 10_000)
    assert (of_event.code, len(of_event.text)) == (reasons.INTERNAL, 500)
    assert of_event.excerpt.startswith('{"jobId":1')
    of_raw = buried(Unreadable(5, RECEIVED, Refused("c", "t"), "raw"), "why")
    assert (of_raw.sequence, of_raw.excerpt) == (5, "raw")


def test_measurements_apply_only_to_running_jobs() -> None:
    memory = Memory()
    starts = [job_started(n) for n in range(1, 5)]
    decisions = memory.apply(*starts, job_stopped(2), deleted(3), measured(1, 2, 3, 4, 404), job_stopped(4), measured(2, 4))
    assert [decision.kind for decision in decisions[-3:]] == ["applied", "applied", "duplicate"]
    found = {id_: (job.row["energy"], job.row["changed_seq"]) for id_, job in memory.work.jobs.items() if job.row is not None}
    assert found == {1: (0.5, 7), 2: (0.0, 5), 4: (0.5, 8)}
    assert not memory.codes()


def test_archived_values_replace_measured_ones() -> None:
    memory = Memory()
    memory.apply(START, measured(1), job_stopped(1), archived(1, 2.5), measured(1, energy=9.0))
    row = memory.job(1).row
    assert row is not None
    assert (row["energy"], row["energy_footprint"], row["monitoring_status"]) == (2.5, '{"power":2.5}', 3)
