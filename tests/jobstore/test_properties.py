"""Any interleaving and duplication of the events of some jobs gives the same rows."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.database.engine import opened
from shared.domain.events import (
    ApplicationsDetected,
    Event,
    HousekeepingDue,
    JobApplications,
    JobArchived,
    JobDeleted,
    JobImported,
    JobMeasurement,
    JobMetadataEdited,
    JobsMeasured,
    JobStarted,
    JobTagged,
    JobUntagged,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.settings import DatabaseSettings
from tests.jobstore.logs import DAY, RECEIVED, Memory, Record, apply, clear, record, split
from tests.jobstore.stories import Row, Run, arrivals, jobs, rows_of
from tests.support.databases import SqliteTemplate, dump
from tests.support.programs import run_blocking


def rows(memory: Memory) -> list[Row]:
    return sorted((job.job_id, job.cluster, job.start_time, str(job.job_state), job.duration) for job in memory.work.jobs.values())


@given(st.data())
@settings(max_examples=1000, deadline=None)
def test_requeued_jobs_end_the_same_in_any_order_of_events(data: st.DataObject) -> None:
    stories = data.draw(jobs(max_runs=4))
    arrived = data.draw(arrivals(stories))
    memory = Memory()
    memory.apply(*arrived)
    assert rows(memory) == rows_of(stories)
    memory.pass_time()
    memory.apply(*data.draw(st.permutations(arrived)))  # copies that arrive after all waits
    memory.pass_time(RECEIVED + 2 * DAY)
    assert rows(memory) == rows_of(stories)
    assert not memory.codes()


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_a_run_followed_by_a_later_one_ends_even_if_stops_are_lost(data: st.DataObject) -> None:
    stories = data.draw(jobs(max_runs=4))
    arrived = [event for event in data.draw(arrivals(stories)) if isinstance(event, JobStarted) or data.draw(st.booleans())]
    memory = Memory()
    memory.apply(*arrived)
    memory.pass_time()
    assert {row[:3] for row in rows(memory)} == {run.row[:3] for runs in stories for run in runs}
    last = {runs[-1].row[:3] for runs in stories}
    assert {row[:3] for row in rows(memory) if row[3] == "running"} <= last


# the same through the store


CFD, MD = Tag(type="area", name="cfd"), Tag(type="area", name="md", scope="alice")


def imported(run: Run, tags: list[Tag]) -> JobImported:
    facts = run.start.model_copy(update={"tags": tags, "meta_data": {"jobName": "imported"}})
    return JobImported(**dict(facts), job_state=run.state, duration=run.duration)


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """The events of some jobs, mixed with edits of jobs that may exist, and housekeeping."""
    stories = draw(jobs(max_runs=3))
    arrived = draw(arrivals(stories))
    ids = st.integers(1, len(arrived) + 3)
    tags = st.lists(st.sampled_from([CFD, MD]), max_size=2)
    edits: st.SearchStrategy[Event] = st.one_of(
        st.builds(JobTagged, id=ids, cluster=st.just("fritz"), tags=tags),
        st.builds(JobUntagged, id=ids, cluster=st.just("fritz"), tags=tags),
        st.builds(TagCreated, tag=st.sampled_from([CFD, MD])),
        st.builds(TagRemoved, tag=st.sampled_from([CFD, MD])),
        st.builds(JobMetadataEdited, id=ids, cluster=st.just("fritz"), key=st.sampled_from(["a", "jobName"]), value=st.sampled_from("xyé")),
        st.builds(JobDeleted, id=ids, cluster=st.just("fritz")),
        st.builds(imported, st.sampled_from([run for runs in stories for run in runs]), tags),
        st.builds(JobArchived, id=ids, cluster=st.just("fritz"), footprint=st.just({}), energy=st.just(1.0), energy_footprint=st.just({})),
        st.builds(
            JobsMeasured, cluster=st.just("fritz"), jobs=st.lists(st.builds(JobMeasurement, id=ids, energy=st.just(0.5)), max_size=3)
        ),
        st.builds(
            ApplicationsDetected,
            cluster=st.just("fritz"),
            jobs=st.lists(st.builds(JobApplications, id=ids, applications=st.lists(st.sampled_from(["vasp", "orca"]))), max_size=3),
        ),
        st.builds(
            HousekeepingDue,
            parked_stop_ttl_s=st.sampled_from([1, 600]),
            rejection_retention_s=st.sampled_from([2, 86_400]),
            walltime_grace_s=st.sampled_from([None, 0]),
        ),
    )
    mixed: list[Event] = []
    for event in arrived:
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
def test_batch_boundaries_do_not_change_the_result(
    sqlite_template: SqliteTemplate, tmp_path: Path, log: list[Record], sizes: list[int]
) -> None:
    run_blocking(compare_cuts(sqlite_template.fresh(tmp_path), log, sizes))
