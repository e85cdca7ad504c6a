"""The data of the benchmark are what its documentation says."""

import asyncio
from pathlib import Path

import pytest

from bench.history.clusters import CLUSTERS, METRICS, ClusterPlan
from bench.history.events import history_events
from bench.history.jobs import CHUNK, History
from bench.history.seed import seed_history
from bench.load.lines import START_BYTES, Load
from bench.results import Result, RowReport, Target, number
from bench.support.cluster import cluster_text
from bench.support.percentiles import percentile
from bench.support.seed import seed_database, seed_log
from services.jobstore.appliers.events import EventsApplier
from services.jobstore.rebuild import rebuild
from services.jobstore.rules import Limits
from services.jobstore.settings import JobstoreSettings, Settings
from shared.database.engine import opened, run, transaction
from shared.database.migrate import migrate_blocking
from shared.database.tables import tables
from shared.domain.clusters import read_cluster
from shared.domain.recorded import Recorded
from shared.lineprotocol import parse_lines
from shared.settings import DatabaseSettings, NatsSettings
from tests.support.databases import dump
from tests.support.nats import client_of

JOBS = 5200  # more than the number between a start and its stop in the seeded log


def test_a_load_starts_and_stops_every_job_once_the_stop_well_after_the_start() -> None:
    plan = list(Load(jobs=500, first_job=11, lag=100).plan())
    assert len(plan) == 1000
    for job_id in range(11, 511):
        assert plan.index(("stop", job_id)) - plan.index(("start", job_id)) >= 100


def test_starts_have_the_documented_size_and_every_line_is_readable() -> None:
    load = Load(jobs=300)
    messages = list(load.messages())
    starts = [message for message, (kind, _) in zip(messages, load.plan(), strict=True) if kind == "start"]
    assert all(abs(len(start) - START_BYTES) <= 32 for start in starts)
    assert len(set(starts)) == 300
    assert all(len(list(parse_lines(message))) == 1 for message in messages)


def test_the_cluster_has_twenty_metrics_of_nodes() -> None:
    cluster = read_cluster(cluster_text())
    assert [metric.scope for metric in cluster.metrics_on("main")] == ["node"] * 20


async def test_a_seeded_database_equals_the_projection_of_the_seeded_log(nats_settings: NatsSettings, tmp_path: Path) -> None:
    database = DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/jobtide.db"})
    async with client_of(nats_settings) as client:
        await seed_database(database, JOBS, await seed_log(client, nats_settings, JOBS))
        seeded = await dump(database, without=("position",))
        async with opened(database) as engine:
            settings = Settings(nats_settings, database, JobstoreSettings())
            reached = await asyncio.wait_for(rebuild(client, engine, settings, [], lambda *_: None), 40)
    assert reached["EVENTS"] == 2 * JOBS
    rebuilt = await dump(database, without=("position",))
    assert [(a, b) for a, b in zip(rebuilt["job"], seeded["job"], strict=True) if a != b][:1] == []
    assert rebuilt == seeded


async def test_a_seeded_history_equals_the_projection_of_its_events(any_database: DatabaseSettings, tmp_path: Path) -> None:
    history = History(finished=600, running=50, end=1_790_000_000)
    await seed_history(any_database, history, "a stream")
    projected = DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/projected.db"})
    await asyncio.to_thread(migrate_blocking, projected)
    records = [Recorded(sequence, event, 0.0) for sequence, event in enumerate(history_events(history), 1)]
    async with opened(projected) as engine, transaction(engine) as connection:
        await run(connection, lambda sync: EventsApplier(tables, Limits()).apply(sync, records))
    seeded = await dump(any_database, without=("position",))
    made = await dump(projected, without=("position",))
    assert len(seeded["job"]) == 650
    assert seeded["jobtag"]
    assert [(a, b) for a, b in zip(made["job"], seeded["job"], strict=True) if a != b][:1] == []
    assert made == seeded


def test_any_part_of_a_history_can_be_generated_alone() -> None:
    history = History(finished=CHUNK + 10, running=10, end=1_790_000_000)
    chunks = list(history.chunks())
    assert [row[0] for chunk in chunks[1:] for row in chunk.rows()] == list(range(history.last_sequence - 19, history.last_sequence + 1))
    again = list(history.chunks())[1]
    assert list(again.rows()) == list(chunks[1].rows())
    assert again.jobtags == chunks[1].jobtags


@pytest.mark.parametrize("plan", CLUSTERS, ids=lambda plan: plan.name)
def test_the_clusters_of_the_history_can_be_read(plan: ClusterPlan) -> None:
    cluster = read_cluster(plan.text())
    assert {metric.name for metric in cluster.metrics_on(plan.parts[0].name)} == set(METRICS)


@pytest.mark.parametrize(("value", "text"), [(8123.4, "8,123"), (0, "0"), (1.234, "1.23"), (12.0, "12"), (0.0456, "0.0456")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile(list(range(1, 101)), 99) == 100


def test_a_report_names_missed_targets(tmp_path: Path) -> None:
    results = [Result("slow", 7000, "events/s", {}, Target(8000)), Result("quick", 10, "ms", {}, Target(20, is_upper=True))]
    text = RowReport("row", "a row", "small", {}, 1.0, results).write(tmp_path).read_text()
    assert text.index('"met": false') < text.index('"met": true')
