"""Any interleaving and duplication of the events of some jobs ends in the same rows, or in listed rejections."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.jobstore.rules.fold import expired_stop
from services.jobstore.rules.jobs import expire
from shared.database.engine import opened
from shared.domain import reasons
from shared.domain.events import (
    Event,
    HousekeepingDue,
    JobArchived,
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
from shared.settings import DatabaseSettings
from tests.jobstore.logs import RECEIVED, Memory, Record, apply, clear, record, split
from tests.jobstore.stories import Row, Run, jobs, rows_of, tellings
from tests.support.databases import SqliteTemplate, dump
from tests.support.programs import run_blocking

# The only ways in which contradictory or hopelessly reordered news may end.
LISTED = {reasons.DUPLICATE_JOB, reasons.START_NEVER_CAME, reasons.ALREADY_STOPPED, reasons.STOP_BEFORE_START}


def rows(memory: Memory) -> list[Row]:
    return sorted((job.job_id, job.cluster, job.start_time, str(job.job_state), job.duration) for job in memory.world.jobs.values())


def expire_all(memory: Memory) -> Counter[tuple[int, str]]:
    """All refusals by job id and code, those of stops that wait in vain too."""
    world = memory.world
    waiting = [parked for stops in world.parked.values() for parked in stops]
    late = [expired_stop(parked, expire(parked, world.runs_of(parked.stop.job_id, None)), RECEIVED) for parked in waiting]
    return Counter((refusal.job_id or 0, refusal.code) for refusal in [*world.refusals, *late])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_jobs_that_run_once_end_the_same_whatever_the_order(data: st.DataObject) -> None:
    stories = data.draw(jobs(most_runs=1))
    memory = Memory()
    memory.apply(*data.draw(tellings(stories, ordered=False)))
    assert rows(memory) == rows_of(stories)
    assert not expire_all(memory)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_requeued_jobs_end_the_same_while_a_run_does_not_overtake_the_one_before(data: st.DataObject) -> None:
    stories = data.draw(jobs(most_runs=3))
    memory = Memory()
    memory.apply(*data.draw(tellings(stories, ordered=True)))
    assert rows(memory) == rows_of(stories)
    assert not expire_all(memory)


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_whatever_else_happens_is_a_listed_rejection(data: st.DataObject) -> None:
    stories = data.draw(jobs(most_runs=3))
    memory = Memory()
    told = data.draw(tellings(stories, ordered=False))
    decisions = memory.apply(*told)
    refused = expire_all(memory)
    assert {code for _, code in refused} <= LISTED
    for runs in stories:
        check_story(runs, rows(memory), any(job_id == runs[0].job_id for job_id, _ in refused))
    waiting = sum(len(stops) for stops in memory.world.parked.values())
    assert sum(refused.values()) == waiting + sum(decision.kind == "refused" for decision in decisions)


def check_story(runs: Sequence[Run], found: Sequence[Row], has_rejection: bool) -> None:
    mine = [row for row in found if row[0] == runs[0].job_id]
    assert {row[:3] for row in mine} <= {run.row[:3] for run in runs}
    assert len({row[:3] for row in mine}) == len(mine)
    assert sorted(mine) == sorted(run.row for run in runs) or has_rejection


# the same through the store


CFD, MD = Tag(type="area", name="cfd"), Tag(type="area", name="md", scope="alice")


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """The events of some jobs, mixed with edits of jobs that may exist, and housekeeping."""
    told = draw(tellings(draw(jobs(most_runs=2)), ordered=False))
    ids = st.integers(1, len(told) + 3)
    tags = st.lists(st.sampled_from([CFD, MD]), max_size=2)
    edits: st.SearchStrategy[Event] = st.one_of(
        st.builds(JobTagged, id=ids, cluster=st.just("fritz"), tags=tags),
        st.builds(JobUntagged, id=ids, cluster=st.just("fritz"), tags=tags),
        st.builds(TagCreated, tag=st.sampled_from([CFD, MD])),
        st.builds(TagRemoved, tag=st.sampled_from([CFD, MD])),
        st.builds(JobMetadataEdited, id=ids, cluster=st.just("fritz"), key=st.sampled_from(["a", "jobName"]), value=st.sampled_from("xyé")),
        st.builds(JobDeleted, id=ids, cluster=st.just("fritz")),
        st.builds(JobArchived, id=ids, cluster=st.just("fritz"), footprint=st.just({}), energy=st.just(1.0), energy_footprint=st.just({})),
        st.builds(
            JobsMeasured, cluster=st.just("fritz"), jobs=st.lists(st.builds(JobMeasurement, id=ids, energy=st.just(0.5)), max_size=3)
        ),
        st.builds(
            HousekeepingDue,
            parked_stop_ttl_s=st.sampled_from([1, 600]),
            rejection_retention_s=st.sampled_from([2, 86_400]),
            walltime_grace_s=st.sampled_from([None, 0]),
        ),
    )
    mixed: list[Event] = []
    for event in told:
        mixed += [event, *draw(st.lists(edits, max_size=2))]
    return [record(sequence, event, RECEIVED + sequence) for sequence, event in enumerate(mixed, 1)]


async def compare_cuts(database: DatabaseSettings, log: list[Record], sizes: list[int]) -> None:
    async with opened(database) as engine:
        one_by_one = await apply(engine, *split(log, [1] * len(log)))
        expected = await dump(database)
        for cut in (sizes, []):
            await clear(engine)
            assert await apply(engine, *split(log, cut)) == one_by_one
            assert await dump(database) == expected


@given(log=logs(), sizes=st.lists(st.integers(1, 7), max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_cut_into_batches_never_changes_the_result(
    sqlite_template: SqliteTemplate, tmp_path: Path, log: list[Record], sizes: list[int]
) -> None:
    run_blocking(compare_cuts(sqlite_template.fresh(tmp_path), log, sizes))
