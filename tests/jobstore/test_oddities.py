"""Oddities of starts and stops are stored in the job's metadata."""

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.domain import oddities
from shared.domain.oddities import MAX_LISTED, MAX_TEXT, Oddity, as_text
from shared.settings import DatabaseSettings
from tests.jobstore.logs import Memory, apply, record
from tests.support.builders import START_TIME, job_started, job_stopped
from tests.support.databases import query

WALLTIME = Oddity(code=oddities.UNUSABLE_VALUE, field="walltime", text="-1 is out of range")
WORD = Oddity(code=oddities.STATE_WORD, field="jobState", text="'CANCELLED by 7' was taken as 'cancelled'")


def test_oddities_of_the_start_are_in_the_metadata_of_the_new_job() -> None:
    memory = Memory()
    memory.apply(job_started(7, meta_data={"jobName": "x"}, oddities=[WALLTIME]))
    row = memory.job(1).row
    assert row is not None
    assert orjson.loads(row["meta_data"]) == {"jobName": "x", "startOddities": "walltime: -1 is out of range"}


def test_oddities_of_the_stop_are_added_to_the_metadata() -> None:
    memory = Memory()
    memory.apply(job_started(7, oddities=[WALLTIME]), job_stopped(7, stop_time=START_TIME + 1, oddities=[WORD]))
    assert memory.job(1).metadata_changes == {"stopOddities": "jobState: 'CANCELLED by 7' was taken as 'cancelled'"}


def test_oddities_of_a_parked_stop_are_added_when_it_is_applied() -> None:
    memory = Memory()
    memory.apply(job_stopped(7, stop_time=START_TIME + 1, oddities=[WORD]), job_started(7))
    assert set(memory.job(2).metadata_changes) == {"stopOddities"}


async def test_oddities_of_a_stop_parked_in_the_database_are_added_when_it_is_applied(
    engine: AsyncEngine, database: DatabaseSettings
) -> None:
    await apply(engine, [record(1, job_stopped(7, stop_time=START_TIME + 1, oddities=[WORD]))], [record(2, job_started(7))])
    ((metadata,),) = await query(database, "SELECT meta_data FROM job")
    assert orjson.loads(metadata) == {"stopOddities": str(WORD)}


def test_without_oddities_the_metadata_are_unchanged() -> None:
    memory = Memory()
    memory.apply(job_started(7))
    row = memory.job(1).row
    assert row is not None
    assert row["meta_data"] is None


def test_the_text_is_bounded_and_lists_each_oddity_once() -> None:
    many = [Oddity(code=oddities.UNUSABLE_VALUE, field=f"f{number}", text="x" * 1000) for number in range(50)]
    text = as_text([WALLTIME, WALLTIME, *many])
    assert text.startswith("walltime: -1 is out of range; f0: xxx")
    assert text.endswith("; 41 more")
    assert len(text) < (MAX_LISTED + 1) * (MAX_TEXT + 2)
