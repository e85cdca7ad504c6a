"""Events become rows on both engines: every kind of event, any batch boundaries, extreme values."""

import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

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
    JobMetadataEdited,
    JobTagged,
    JobUntagged,
    LogContinued,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.domain.intake import job_started as job_started_of
from shared.domain.payloads import Resource, StartPayload, TagPayload
from shared.domain.recorded import Unreadable
from shared.domain.values import INT32_MAX, INT64_MAX, MAX_NAME, TIME_MAX, JobState
from shared.domain.wire import read_object
from shared.errors import Refused
from shared.settings import DatabaseSettings
from tests.jobstore.logs import DAY, RECEIVED, Record, apply, clear, record, records, split
from tests.support.builders import START_TIME, job_started, job_stopped, start_payload
from tests.support.clusters import sample_clusters
from tests.support.databases import dump, query
from tests.support.fixtures import any_database

database = any_database

T = START_TIME
CFD, MD = Tag(type="area", name="cfd"), Tag(type="area", name="md")


def every_kind() -> list[Record]:
    """A log with every kind of event, in which later ones undo and repeat earlier ones."""
    events: list[Event] = [
        job_started(1, tags=[CFD]),  # 1
        job_started(2, "alex", meta_data={"jobName": "b"}),  # 2
        job_stopped(3),  # 3: waits
        job_stopped(1, start_time=T, job_state=JobState.PREEMPTED, received_state="pending"),  # 4
        job_started(1, start_time=T + 4000),  # 5: requeue
        job_started(1, start_time=T + 100),  # 6: refused
        job_started(3),  # 7: ended by 3
        JobTagged(id=2, cluster="alex", tags=[CFD, MD]),  # 8
        JobUntagged(id=1, cluster="fritz", tags=[CFD]),  # 9
        TagRemoved(tag=MD),  # 10
        TagCreated(tag=MD),  # 11
        JobMetadataEdited(id=2, cluster="alex", key="note", value="é\n"),  # 12
        JobMetadataEdited(id=2, cluster="alex", key="jobName", value="c"),  # 13
        JobArchived(id=1, cluster="fritz", footprint={"load_avg": 1.5}, energy=2.25, energy_footprint={}),  # 14
        JobArchivingFailed(id=7, cluster="fritz", reason="x", attempts=3),  # 15
        JobArchiveRequested(id=5, cluster="fritz"),  # 16: refused
        JobArchiveRequested(id=7, cluster="fritz"),  # 17
        JobImported(**dict(job_started(9)), job_state=JobState.TIMEOUT, duration=7),  # 18
        job_started(9),  # 19: known
        JobDeleted(id=18, cluster="fritz"),  # 20
        JobImported(**dict(job_started(9, tags=[CFD])), job_state=JobState.FAILED, duration=8),  # 21: comes back
        IntakeRejected(code="invalid_json", text="x", subject="s", stream="I", sequence=4, line=2, excerpt="é"),  # 22
        job_stopped(77),  # 23: waits in vain
        job_stopped(2, "alex", start_time=T),  # 24
        job_stopped(2, "alex", start_time=T, stop_time=T + 1),  # 25: refused
        JobMetadataEdited(id=404, cluster="alex", key="k", value="v"),  # 26: refused
        LogContinued(),  # 27
    ]
    log: list[Record] = [*records(events)]
    log.append(Unreadable(28, RECEIVED, Refused(reasons.UNREADABLE_EVENT, "unknown"), "raw"))
    log.append(record(29, HousekeepingDue(parked_stop_ttl_s=600, rejection_retention_s=DAY), RECEIVED + 601))
    log.append(record(30, job_started(77)))  # its stop has expired
    log.append(record(31, JobDeleted(id=2, cluster="alex")))
    return log


KINDS = "AAWAARAAAAAAAAARAADAAAWARRARAAA"


async def test_every_kind_of_event_has_the_expected_rows(engine: AsyncEngine, database: DatabaseSettings) -> None:
    decisions = await apply(engine, every_kind())
    assert "".join(decision.kind[0].upper() for decision in decisions) == KINDS
    jobs = await query(database, "SELECT id, job_id, job_state, start_time, duration, stop_seq, monitoring_status FROM job ORDER BY id")
    assert jobs == [
        (1, 1, "preempted", T, 3600, 4, 3),
        (5, 1, "running", T + 4000, 0, None, 1),
        (7, 3, "completed", T, 3600, 3, 1),
        (21, 9, "failed", T, 8, None, 1),
        (30, 77, "running", T, 0, None, 1),
    ]
    assert await query(database, "SELECT meta_data, energy, footprint, energy_footprint FROM job WHERE id = 1") == [
        ('{"receivedState":"pending"}', 2.25, '{"load_avg":1.5}', "{}")
    ]
    assert await query(database, "SELECT id, tag_name FROM tag ORDER BY id") == [(1024, "cfd"), (11 * 1024, "md")]
    assert await query(database, "SELECT job_id, tag_id FROM jobtag") == [(21, 1024)]
    refused = await query(database, "SELECT seq, origin, code, job_id, line FROM rejection ORDER BY seq")
    assert refused == [
        (6, "m6", reasons.DUPLICATE_JOB, 1, None),
        (16, "m16", reasons.JOB_STILL_RUNNING, None, None),
        (22, "m22", "invalid_json", None, 2),
        (23, "m23", reasons.START_NEVER_CAME, 77, None),
        (25, "m25", reasons.ALREADY_STOPPED, 2, None),
        (26, "m26", reasons.JOB_NOT_FOUND, None, None),
        (28, "log:28", reasons.UNREADABLE_EVENT, None, None),
    ]
    assert await query(database, "SELECT seq FROM parked_stop") == []


async def test_new_metadata_are_merged_into_stored_ones(engine: AsyncEngine, database: DatabaseSettings) -> None:
    log = every_kind()
    await apply(engine, log[:12], log[12:30])
    assert await query(database, "SELECT meta_data FROM job WHERE id = 2") == [('{"jobName":"c","note":"é\\n"}',)]


@pytest.mark.parametrize("sizes", [[1] * 40, [2] * 20, [3] * 20, [7, 1, 5, 9], [10, 10, 10]], ids=lambda sizes: f"{sizes[:3]}")
async def test_batch_boundaries_do_not_matter(engine: AsyncEngine, database: DatabaseSettings, sizes: Sequence[int]) -> None:
    log = every_kind()
    decisions = await apply(engine, *split(log, sizes))
    cut = await dump(database)
    await clear(engine)
    assert await apply(engine, log) == decisions
    assert await dump(database) == cut


async def test_the_same_log_again_under_new_sequences_changes_no_job(engine: AsyncEngine, database: DatabaseSettings) -> None:
    events: list[Event] = [
        *(job_started(1), job_stopped(1, start_time=T), job_started(2), job_stopped(3), job_started(3)),
        job_started(1, start_time=T + 5),
    ]
    await apply(engine, records(events))
    before = await dump(database)
    again = [record(r.sequence + 100, r.event, message_id=r.message_id) for r in records(events)]
    kinds = [decision.kind for decision in await apply(engine, again[:3], again[3:])]
    assert kinds == ["duplicate"] * 5 + ["refused"]
    assert await dump(database) == before  # and the refusal of the same message is one row


async def test_a_refusal_of_the_same_message_is_one_row_also_within_a_batch(engine: AsyncEngine, database: DatabaseSettings) -> None:
    event = JobMetadataEdited(id=404, cluster="fritz", key="k", value="v")
    await apply(engine, [record(1, event, message_id="x"), record(2, event, message_id="x"), record(3, event, message_id="y")])
    assert await query(database, "SELECT seq, origin FROM rejection ORDER BY seq") == [(1, "x"), (3, "y")]


async def test_ids_are_sequences_up_to_the_largest_number_that_json_readers_keep(engine: AsyncEngine, database: DatabaseSettings) -> None:
    top = 2**53 - 1
    await apply(engine, [record(top - 1, job_started(1)), record(top, job_started(2))])
    assert await query(database, "SELECT id FROM job ORDER BY id") == [(top - 1,), (top,)]


async def test_extreme_values_come_back_as_they_were_sent(engine: AsyncEngine, database: DatabaseSettings) -> None:
    odd = "ünïcødé 🛰 \u2028 ' \" \\ % _ \x7f"
    start = job_started(
        INT64_MAX,
        odd,
        start_time=TIME_MAX - 1,
        walltime=TIME_MAX,
        submit_time=TIME_MAX,
        requested_memory=TIME_MAX,
        array_job_id=-INT64_MAX - 1,
        num_nodes=INT32_MAX,
        num_acc=INT32_MAX,
        num_hwthreads=INT32_MAX,
        smt=INT32_MAX,
        energy=1.7976931348623157e308,
        user=odd,
        project="",
        partition="",
        sub_cluster=odd,
        meta_data={"": "", odd: odd * 1000},
        tags=[Tag(type=odd, name=odd, scope=odd)],
    )
    stop = job_stopped(INT64_MAX, odd, stop_time=TIME_MAX)
    await apply(engine, [record(1, start)], [record(2, stop)], [record(3, JobUntagged(id=1, cluster=odd, tags=start.tags))])
    rows = await query(
        database,
        "SELECT job_id, cluster, start_time, walltime, submit_time, requested_memory, array_job_id, num_nodes, num_acc, num_hwthreads, smt,"
        " energy, hpc_user, project, cluster_partition, subcluster, duration, job_state FROM job",
    )
    assert rows == [
        (
            *(INT64_MAX, odd, TIME_MAX - 1, TIME_MAX, TIME_MAX, TIME_MAX, -INT64_MAX - 1, *[INT32_MAX] * 4),
            *(1.7976931348623157e308, odd, "", "", odd, 1, "completed"),
        )
    ]
    ((text,),) = await query(database, "SELECT meta_data FROM job")
    assert orjson.loads(text) == start.meta_data
    assert await query(database, "SELECT tag_type, tag_name, tag_scope FROM tag") == [(odd, odd, odd)]
    assert await query(database, "SELECT * FROM jobtag") == []


async def test_a_job_on_thousands_of_nodes_is_stored_whole(engine: AsyncEngine, database: DatabaseSettings) -> None:
    resources = [Resource(hostname=f"n{i:05}", hwthreads=list(range(64)), accelerators=[f"00000000:{i:02X}:00.0"]) for i in range(2000)]
    await apply(engine, [record(1, job_started(1, resources=resources))], [record(2, job_stopped(1))])
    ((text, nodes),) = await query(database, "SELECT resources, num_nodes FROM job")
    assert nodes == 2000
    assert [Resource.model_validate(item) for item in orjson.loads(text)] == resources


async def test_a_start_with_very_many_tags_is_applied_in_reasonable_time(engine: AsyncEngine, database: DatabaseSettings) -> None:
    batch = [
        record(sequence, job_started(sequence, tags=[Tag(type="t", name=f"{sequence}-{n}") for n in range(1000)]))
        for sequence in range(1, 21)
    ]
    await apply(engine, batch)
    assert await query(database, "SELECT count(*), count(DISTINCT id), max(id) FROM tag") == [(20_000, 20_000, 20 * 1024 + 999)]


async def test_any_character_survives_an_insert_and_an_update(engine: AsyncEngine, database: DatabaseSettings) -> None:
    text = "\U0001f600 h\u00e4lfte '\"` \\ \\n %s {0} ; -- \u2028 \t\n"
    await apply(engine, [record(1, job_started(1, meta_data={"a": text}))])
    await apply(engine, [record(2, JobMetadataEdited(id=1, cluster="fritz", key="b", value=text))])
    ((stored,),) = await query(database, "SELECT meta_data FROM job")
    assert orjson.loads(stored) == {"a": text, "b": text}


async def test_refused_texts_are_stored_in_bounds(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(1, job_stopped(1, "x" * 1_000_000, may_wait=False))])
    ((length, excerpt),) = await query(database, "SELECT length(text), length(excerpt) FROM rejection")
    assert length <= 1000
    assert excerpt <= 512


def longest(first: str) -> str:
    """The longest accepted name, which no index can compress."""
    dice = random.Random(first)
    return first + "".join(chr(dice.randrange(0x10000, 0x1F000)) for _ in range(MAX_NAME - 1))


async def test_the_longest_accepted_names_are_stored(engine: AsyncEngine, database: DatabaseSettings) -> None:
    names = {part: longest(part[0]) for part in ("user", "project", "partition", "type", "name", "scope", "host")}
    tag = TagPayload(type=names["type"], name=names["name"], scope=names["scope"])
    sent = start_payload(2, user=names["user"], project=names["project"], partition=names["partition"], tags=[tag.model_dump()])
    payload, _ = read_object(StartPayload, orjson.dumps(sent))
    cluster = sample_clusters()["fritz"]
    event = job_started_of(payload, {"fritz": cluster})
    assert [decision.kind for decision in await apply(engine, [record(1, event)])] == ["applied"]
    assert await query(database, "SELECT hpc_user, project, cluster_partition FROM job") == [
        (names["user"], names["project"], names["partition"])
    ]
    assert await query(database, "SELECT tag_type, tag_name, tag_scope FROM tag") == [(names["type"], names["name"], names["scope"])]


@pytest.mark.parametrize("field", ["user", "project", "tags.0.type", "tags.0.name", "tags.0.scope"])
def test_longer_names_are_refused_with_their_field(field: str) -> None:
    tag = {"type": "t", "name": "n", "scope": "s"}
    fields: dict[str, Any] = {"user": "alice", "project": "p", "tags": [tag]}
    (tag if "." in field else fields)[field.rsplit(".", 1)[-1]] = longest("x") + "x"
    with pytest.raises(Refused) as refused:
        read_object(StartPayload, orjson.dumps(start_payload(2, **fields)))
    assert (refused.value.code, refused.value.field) == (reasons.INVALID_VALUE, field)
