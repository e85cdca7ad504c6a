"""Jobs taken over from another database: the first time, again, and beside events of their own."""

from typing import Any

import orjson
import pytest

from shared.database.engine import opened
from shared.domain.events import Event, JobArchived, JobMetadataEdited, JobTagged, JobTakenOver, JobUntagged, Tag
from shared.domain.payloads import Resource
from shared.domain.values import JobState
from shared.settings import DatabaseSettings
from tests.jobstore.logs import Memory, apply, records
from tests.support.builders import START_TIME, job_started, job_stopped
from tests.support.databases import dump, query

GOOD, BAD, OURS = (Tag(type="quality", name=name) for name in ("good", "bad", "ours"))


def taken(digest: str, job_id: int = 1, **fields: Any) -> JobTakenOver:
    """A running job unless ``fields`` say otherwise."""
    defaults: dict[str, Any] = {
        "cluster": "fritz",
        "sub_cluster": "main",
        "user": "alice",
        "project": "physics",
        "start_time": START_TIME,
        "resources": [Resource(hostname="f0101")],
        "num_nodes": 1,
        "job_state": JobState.RUNNING,
        "former_id": 815,
    }
    return JobTakenOver(job_id=job_id, digest=digest, **(defaults | fields))


def ended(digest: str, **fields: Any) -> JobTakenOver:
    defaults: dict[str, Any] = {"job_state": JobState.COMPLETED, "duration": 60, "monitoring_status": 3}
    return taken(digest, **(defaults | fields))


async def rows_after(database: DatabaseSettings, *events: Event) -> dict[str, Any]:
    """The only job after the events, each in a batch of its own, with ``tags``. All in one batch must give the same."""
    async with opened(database) as engine:
        await apply(engine, *([record] for record in records(events)))
    columns = "job_state, duration, monitoring_status, footprint, energy, meta_data, former_id, former_state, stop_seq, job_name"
    (row,) = await query(database, f"SELECT {columns} FROM job")
    tags = await query(database, "SELECT tag_name FROM jobtag JOIN tag ON tag.id = jobtag.tag_id ORDER BY 1")
    return dict(zip(columns.split(", "), row, strict=True)) | {"tags": [name for (name,) in tags]}


async def test_a_job_is_taken_over_with_its_state_and_its_id_there(sqlite_database: DatabaseSettings) -> None:
    row = await rows_after(
        sqlite_database, ended("a", tags=[GOOD], footprint={"cpu_load_avg": 1.5}, energy=2.0, meta_data={"jobName": "x"})
    )
    assert (row["job_state"], row["duration"], row["monitoring_status"]) == ("completed", 60, 3)
    assert (row["footprint"], row["energy"], row["job_name"], row["former_id"]) == ('{"cpu_load_avg":1.5}', 2.0, "x", 815)
    assert row["tags"] == ["good"]


async def test_a_later_state_ends_the_job_and_brings_its_figures_and_tags(database: DatabaseSettings) -> None:
    first = taken("a", tags=[GOOD, BAD], meta_data={"jobName": "x", "old": "1"})
    later = ended("b", tags=[BAD], footprint={"cpu_load_avg": 1.5}, meta_data={"jobName": "y"})
    row = await rows_after(database, first, later)
    assert (row["job_state"], row["duration"], row["monitoring_status"], row["footprint"]) == ("completed", 60, 3, '{"cpu_load_avg":1.5}')
    assert row["tags"] == ["bad"]
    assert orjson.loads(row["meta_data"]) == {"jobName": "y"}, "removed there as well"
    assert row["job_name"] == "y"


async def test_tags_and_metadata_that_people_added_here_stay(sqlite_database: DatabaseSettings) -> None:
    edits: list[Event] = [
        JobTagged(id=1, cluster="fritz", tags=[OURS]),
        JobMetadataEdited(id=1, cluster="fritz", key="note", value="mine"),
    ]
    row = await rows_after(sqlite_database, ended("a", tags=[GOOD]), *edits, ended("b", tags=[BAD]))
    assert row["tags"] == ["bad", "ours"]
    assert orjson.loads(row["meta_data"]) == {"note": "mine"}


async def test_a_tag_that_was_removed_here_stays_away_while_it_stays_there(sqlite_database: DatabaseSettings) -> None:
    removed = JobUntagged(id=1, cluster="fritz", tags=[GOOD])
    row = await rows_after(sqlite_database, ended("a", tags=[GOOD]), removed, ended("b", tags=[GOOD, BAD]))
    assert row["tags"] == ["bad"]


async def test_metadata_follow_what_changed_there_and_keep_what_changed_here(database: DatabaseSettings) -> None:
    there = {"jobName": "x", "edited": "1", "both": "1", "follows": "1", "gone": "1"}
    edits: list[Event] = [
        JobMetadataEdited(id=1, cluster="fritz", key="jobName", value="our name"),
        JobMetadataEdited(id=1, cluster="fritz", key="edited", value="ours"),
        JobMetadataEdited(id=1, cluster="fritz", key="both", value="ours"),
    ]
    later = {"jobName": "x", "edited": "1", "both": "2", "follows": "2", "new": "1"}
    row = await rows_after(database, ended("a", meta_data=there), *edits, ended("b", meta_data=later))
    assert orjson.loads(row["meta_data"]) == {"jobName": "our name", "edited": "ours", "both": "2", "follows": "2", "new": "1"}
    assert row["job_name"] == "our name"


async def test_a_job_that_came_by_its_own_events_gets_its_former_id_and_keeps_its_end(sqlite_database: DatabaseSettings) -> None:
    row = await rows_after(sqlite_database, job_started(1), job_stopped(1), ended("a", tags=[GOOD], footprint={"x_avg": 1.0}))
    assert (row["job_state"], row["duration"], row["former_id"], row["tags"]) == ("completed", 3600, 815, ["good"])
    assert (row["monitoring_status"], row["footprint"]) == (3, '{"x_avg":1.0}')  # archived there, not yet here


async def test_a_job_archived_here_keeps_its_figures(sqlite_database: DatabaseSettings) -> None:
    archived = JobArchived(id=1, cluster="fritz", footprint={"x_avg": 2.0}, energy=1.0, energy_footprint={})
    row = await rows_after(sqlite_database, ended("a", monitoring_status=1), archived, ended("b", monitoring_status=2))
    assert (row["monitoring_status"], row["footprint"], row["energy"]) == (3, '{"x_avg":2.0}', 1.0)


async def test_a_job_that_ended_here_is_not_running_again(sqlite_database: DatabaseSettings) -> None:
    row = await rows_after(sqlite_database, taken("a"), job_stopped(1), taken("b", tags=[GOOD]))
    assert (row["job_state"], row["duration"], row["tags"]) == ("completed", 3600, ["good"])


async def test_an_end_that_was_taken_over_is_corrected(sqlite_database: DatabaseSettings) -> None:
    row = await rows_after(sqlite_database, taken("a"), ended("b"), ended("c", duration=90, job_state=JobState.FAILED))
    assert (row["job_state"], row["duration"], row["stop_seq"]) == ("failed", 90, 2)


def test_the_same_state_again_changes_nothing() -> None:
    memory = Memory()
    decisions = memory.apply(taken("a"), taken("a"), ended("b"), ended("b"), ended("b", former_id=None))
    assert [decision.kind for decision in decisions] == ["applied", "duplicate", "applied", "duplicate", "duplicate"]


def test_a_staged_job_gets_its_id_when_it_has_one() -> None:
    memory = Memory()
    assert [decision.kind for decision in memory.apply(taken("a", former_id=None), taken("a"))] == ["applied", "applied"]
    assert memory.job(1).former_id == 815


def test_a_stop_ends_a_job_that_was_taken_over_running() -> None:
    memory = Memory()
    memory.apply(taken("a"), job_stopped(1))
    assert memory.states() == [(START_TIME, "completed", 3600)]
    memory.apply(ended("b", duration=3601))
    assert memory.states() == [(START_TIME, "completed", 3600)]


def test_a_parked_stop_ends_a_job_that_is_taken_over_running() -> None:
    memory = Memory()
    memory.apply(job_stopped(1), taken("a"))
    assert memory.states() == [(START_TIME, "completed", 3600)]


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_rows_do_not_depend_on_batches(sqlite_database: DatabaseSettings, size: int) -> None:
    events: list[Event] = [
        taken("a", tags=[GOOD, BAD]),
        taken("x", 2, former_id=816),
        JobTagged(id=1, cluster="fritz", tags=[OURS]),
        ended("b", tags=[BAD]),
        taken("y", 2, former_id=816, meta_data={"jobName": "late"}),
        ended("c", tags=[]),
    ]
    log = records(events)
    async with opened(sqlite_database) as engine:
        await apply(engine, *[log[first : first + size] for first in range(0, len(log), size)])
    found = await dump(sqlite_database)
    jobs = {row[1]: row for row in found["job"]}
    assert [(row[1], row[12]) for row in found["job"]] == [(1, "completed"), (2, "running")]
    assert len(found["jobtag"]) == 1
    assert len(jobs) == 2
