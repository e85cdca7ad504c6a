"""The history of the demo: what is in it, and that an interrupted one is completed."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cli.demo.behaviour import behaviour
from cli.demo.history import making
from cli.demo.history.entries import MadeJob, make_jobs
from cli.demo.history.past import ClusterPast, past_of
from cli.demo.history.recent import periods_of, write_period
from cli.demo.machines import CLUSTERS, definition, nodes_of
from cli.demo.scheduler import Job
from services.metricstore.folder import Folder
from services.metricstore.format import read_index
from services.metricstore.grids import PERIOD_S
from services.metricstore.reader import SampleReader
from shared.archive import verify
from shared.archive.layout import TEMPORARY_PREFIX
from shared.archive.thumbnails import usable_thumbnail
from shared.broker.cursor import Cursor, read_from
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobAdvised, JobDeleted
from shared.errors import Unavailable
from shared.settings import NatsSettings
from tests.cli.conftest import Up
from tests.support.nats import client_of
from tests.support.waiting import until_blocking

NOW = 1_700_000_040
DAY_S = 86_400


@pytest.fixture(scope="module", params=CLUSTERS)
def past(request: pytest.FixtureRequest) -> ClusterPast:
    return past_of(request.param, "seed", NOW - 3 * DAY_S, NOW)


def made(past: ClusterPast, *jobs: Job) -> list[MadeJob]:
    return make_jobs(jobs, past.jobs)


def test_the_same_seed_and_window_give_the_same_past(past: ClusterPast) -> None:
    assert past_of(past.left.running[0].cluster, "seed", NOW - 3 * DAY_S, NOW) == past


def test_jobs_end_in_believable_proportions(past: ClusterPast) -> None:
    states = Counter(job.request.end_state for job in past.finished)
    assert set(states) == {"completed", "failed", "cancelled", "timeout", "out_of_memory", "node_fail"}
    assert states.most_common(2)[0][0] == "completed"
    assert states.most_common(2)[1][0] == "failed"
    assert 0.7 < states["completed"] / states.total() < 0.9


def test_jobs_of_several_users_wait_and_run_for_different_times(past: ClusterPast) -> None:
    requests = [job.request for job in past.finished]
    for values in (
        {one.user for one in requests},
        {one.project for one in requests},
        {one.walltime_s for one in requests},
        {round(one.wait_s) for one in requests},
        {one.kind.name for one in requests},
    ):
        assert len(values) >= 5
    assert all(job.end - job.start <= job.request.walltime_s * job.pace for job in past.finished)


def test_no_node_or_accelerator_is_given_to_two_jobs_at_once(past: ClusterPast) -> None:
    uses: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for job in past.jobs:
        for host, parts in job.placements:
            for part in parts or ("whole",):
                uses.setdefault((host, part), []).append((job.start, job.end))
    for times in uses.values():
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(sorted(times)))


def test_what_runs_at_the_end_began_within_the_recent_samples(past: ClusterPast) -> None:
    assert past.left.running
    assert min(job.start for job in past.left.running) >= periods_of(NOW - 3 * DAY_S, NOW).start * PERIOD_S
    assert all(job.end > NOW for job in past.left.running)


def rules_of(advised: JobAdvised | None) -> set[str]:
    return {one.rule for one in advised.advice or []} if advised is not None else set()


def test_each_behaviour_is_in_entries_and_advice(past: ClusterPast) -> None:
    ends = {state: next(job for job in past.finished if job.request.end_state == state) for state in ("out_of_memory", "timeout")}
    leak, hang = made(past, *ends.values())
    assert "outofmemory" in rules_of(leak.advised)
    assert (leak.imported.footprint or {})["mem_used_max"] > 100
    assert "timelimit" in rules_of(hang.advised)
    if past.left.running[0].cluster == "fritz":
        (slow,) = made(past, next(job for job in past.finished if behaviour(job).odd_host and job.request.end_state == "completed"))
        assert "imbalance" in rules_of(slow.advised)
    else:
        (idle,) = made(past, next(job for job in past.finished if behaviour(job).idle and job.request.end_state == "completed"))
        assert "unusedaccelerators" in rules_of(idle.advised)


def test_an_entry_says_what_its_event_says(past: ClusterPast) -> None:
    (one,) = made(past, next(job for job in past.finished if job.request.end_state == "completed"))
    event = one.imported
    assert event.submit_time < event.start_time
    assert event.energy > 0
    assert event.meta_data is not None
    assert "#SBATCH" in event.meta_data["jobScript"]
    assert (one.meta["footprint"], one.meta["energy"], one.meta["duration"]) == (event.footprint, event.energy, event.duration)
    assert set(one.meta["statistics"]) == set(event.statistics or {})
    bands = usable_thumbnail(one.thumbnail, len(one.data))
    assert bands is not None
    assert set(bands) == set(one.meta["statistics"])


def test_files_of_samples_have_every_node_up_to_the_end(past: ClusterPast, tmp_path: Path) -> None:
    name = past.left.running[0].cluster
    period = periods_of(NOW - 3 * DAY_S, NOW)[-1]
    write_period(tmp_path, name, period, past.jobs, NOW, "seed")
    write_period(tmp_path, name, period, past.jobs, NOW, "seed")
    folder = Folder(tmp_path)
    with folder.opened():
        (file,) = folder.files.values()
    index = read_index(file.path)
    cluster, nodes = nodes_of(definition(name))
    assert {names[0] for names in index.names} == {metric.name for metric in cluster.metric_config}
    assert len({names[1] for names in index.names}) > 0.9 * len(nodes)
    last = max(last * step for last, step in zip(index.last, index.steps, strict=True))
    assert NOW - 10 <= last < NOW
    rows = np.array([row for row, step in enumerate(index.steps) if step == 10])
    samples = SampleReader().read(file.path, index.group_size, rows, PERIOD_S // 10)
    assert np.isfinite(samples[:50, :3]).all()


def jobs_of(data: Path) -> dict[tuple[str, int, int], dict[str, Any]]:
    paths = [path for path in (data / "archive").glob("*/*/*/*/meta.json") if not path.parent.name.startswith(TEMPORARY_PREFIX)]
    entries = [json.loads(path.read_bytes()) for path in paths]
    return {(entry["cluster"], entry["jobId"], entry["startTime"]): entry for entry in entries}


async def test_the_events_of_an_interrupted_history_are_found_by_a_reading_that_pauses_and_breaks(
    nats_settings: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbances: Iterator[list[Any] | Unavailable] = iter([[], Unavailable("a lost consumer"), []])

    @asynccontextmanager
    async def disturbed(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        async with read_from(*arguments, **options) as cursor:
            yield SimpleNamespace(batch=partial(batch, cursor))

    async def batch(cursor: Cursor, _: int) -> list[Any]:
        disturbance = next(disturbances, None)
        if isinstance(disturbance, Unavailable):
            raise disturbance
        return await cursor.batch(1) if disturbance is None else disturbance

    monkeypatch.setattr(making, "read_from", disturbed)
    async with client_of(nats_settings) as client:
        assert await making._known(client, nats_settings, asyncio.Event()) == {}
        now = datetime.now(UTC)
        envelopes = [Envelope(JobDeleted(id=n, cluster="fritz"), f"demo:{n}", "/demo", now) for n in range(3)]
        sequences = await Publisher(client, nats_settings.prefix).publish(envelopes)
        known = await making._known(client, nats_settings, asyncio.Event())
    assert known == dict(zip(("demo:0", "demo:1", "demo:2"), sequences, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_history_that_was_killed_is_completed_once_and_never_made_again(new_up: Up) -> None:
    site = new_up("--demo")
    days = {"JOBTIDE_UP_DEMO_DAYS": "0.1"}
    site.launch(**days)
    until_blocking(lambda: len(jobs_of(site.data)) > 3, 90, "some entries")
    site.kill9()
    assert not (site.data / "demo.json").exists()
    plan = (site.data / "demo-history.json").read_bytes()
    site.launch(**days)
    until_blocking((site.data / "run.json").exists, 90, "ready")
    assert (site.data / "demo-history.json").read_bytes() == plan

    def finished() -> list[dict[str, Any]]:
        return [job for job in site.jobs("?items-per-page=1000") if job["jobState"] != "running"]

    made = jobs_of(site.data)
    until_blocking(lambda: len(finished()) >= len(made), 60, "all jobs in the database")
    ids = {(job["cluster"], job["jobId"], job["startTime"]): job["id"] for job in finished()}
    assert {key: ids.get(key) for key in made} == {key: entry["id"] for key, entry in made.items()}
    found = list(verify(site.data / "archive", reads_data=True))
    assert {finding.kind for finding in found} <= {"leftover"}  # of the archiver, which adds tags meanwhile
    site.interrupt(timeout_s=10.0)
    site.launch(**days)
    until_blocking(lambda: "continues with" in site.log_text, 90, "the second start")
    assert site.log_text.count("finished jobs") == 1
