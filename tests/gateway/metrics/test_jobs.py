"""Metric data of jobs over REST and GraphQL: their source, scopes, and how often they are loaded."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from services.gateway.metrics.settings import SeriesSettings
from shared.archive import Entry, JobPath, read_data, render_data, render_meta, write_entries
from shared.metricdata import MetricData, Series, Statistics, Unit
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.metrics.light import Light, light_site, running_job
from tests.gateway.recorded import ACTORS, ARCHIVE, IMPORTED
from tests.gateway.rows import job_row
from tests.gateway.stack import token
from tests.support.builders import START_TIME

HOSTS = ("f0101", "f0102")


@pytest.fixture
async def light(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Light]:
    """Job 1 runs on two nodes, job 2 on four hardware threads of one, job 3 was not monitored."""
    alone = [{"hostname": "f0101", "hwthreads": [0, 1, 2, 3]}]
    jobs = [
        running_job(1, *HOSTS),
        running_job(2, "f0101") | {"resources": json.dumps(alone)},
        job_row(3, monitoring_status=0),
    ]
    async with light_site(site, sqlite_database, archive_settings, jobs) as found:
        yield found


def archived(light: Light, value: float) -> None:
    """Archive job 1 with one load for each node."""
    load = MetricData(Unit(), 60, tuple(Series(host, None, Statistics(value, value, value), np.array([value])) for host in HOSTS))
    statistics = {"cpu_load": {"avg": value, "min": value, "max": value}}
    meta = {"cluster": "fritz", "jobId": 1001, "startTime": START_TIME, "statistics": statistics}
    entry = Entry(JobPath("fritz", 1001, START_TIME), render_meta(meta), render_data({"cpu_load": {"node": load}}), False)
    light.archive.path.mkdir(exist_ok=True)
    assert write_entries(light.archive.path, [entry]) == [None]


async def test_a_running_job_has_samples_since_its_start(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0, 2.0, 3.004)
    light.measured("f0102", "cpu_load", None, 5.0, after_s=120)
    _, answer = await light.client.get("/api/jobs/1?all-metrics=true")
    load = answer["Data"]["cpu_load"]["node"]
    assert [(one["hostname"], one.get("id"), one["data"]) for one in load["series"]] == [
        ("f0101", None, [1, 2, 3]),
        ("f0102", None, [None, None, 5]),
    ]
    assert load["series"][0]["statistics"] == {"min": 1, "avg": 2, "max": 3}
    _, answer = await light.client.post("/api/jobs/1", ["cpu_load", "nope"])
    assert [(one["name"], one["scope"]) for one in answer["Data"]] == [("cpu_load", "node")]


async def test_combined_series_have_the_id_of_their_own_level(light: Light) -> None:
    for thread in range(4):
        light.measured("f0101", "flops_any", f"hwthread{thread}", 1.0 + thread, 2.0)
    found = await light.job_metrics(2, m=["flops_any"], s=["node", "memoryDomain", "socket", "core", "hwthread", "accelerator"])
    parts = {scope: [(one["id"], one["data"]) for one in metric["series"]] for (_, scope), metric in found.items()}
    assert parts["node"] == [(None, [10, 8])]
    assert parts["socket"] == parts["memoryDomain"] == [("0", [10, 8])]
    assert parts["core"] == parts["hwthread"] == [("0", [1, 2]), ("1", [2, 2]), ("2", [3, 2]), ("3", [4, 2])]


async def test_job_metrics_over_rest_answer_errors_with_their_status(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0)
    status, answer = await light.client.get("/api/jobs/metrics/1?metric=cpu_load&scope=node")
    assert (status, answer["error"], answer["data"]["jobMetrics"][0]["name"]) == (200, None, "cpu_load")
    for path, expected in (("99", 404), ("abc", 400)):
        status, answer = await light.client.get(f"/api/jobs/metrics/{path}")
        assert (status, answer["data"], bool(answer["error"]["message"])) == (expected, None, True)
    assert (await light.client.get("/api/jobs/metrics/1?scope=rack"))[0] == 400
    assert await light.client.get("/api/jobs/metrics/3") == (200, {"data": {"jobMetrics": []}, "error": None})
    assert (await light.client.get("/api/jobs/metrics/1", auth=token("user", user="ulla")))[0] == 403


async def test_a_store_that_is_down_is_503_and_the_error_is_not_cached(light: Light) -> None:
    from aiohttp import web

    async def away(_: Any) -> web.StreamResponse:
        return web.Response(status=500)

    light.measured("f0101", "cpu_load", None, 1.0)
    light.store.mood = away
    status, answer = await light.client.get("/api/jobs/metrics/1")
    assert (status, answer["data"]) == (503, None)
    assert "http" not in answer["error"]["message"]  # the address of the store and its answer are only logged
    status, answer = await light.client.get("/api/jobs/1?all-metrics=true")
    assert (status, "http" in answer["error"]) == (503, False)
    answer = await light.ask('{ jobMetrics(id: "1") { name } }')
    assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert "http" not in answer["errors"][0]["message"]
    light.store.mood = None
    assert (await light.client.get("/api/jobs/metrics/1"))[0] == 200


async def test_equal_queries_load_once_and_an_empty_list_of_metrics_is_not_all(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0)
    before = light.store.requests
    await asyncio.gather(*(light.job_metrics(1, s=["node"]) for _ in range(5)))
    assert light.store.requests == before + 1
    assert await light.job_metrics(1, m=[], s=["node"]) == {}
    assert set(await light.job_metrics(1, s=["node"])) == {("cpu_load", "node")}
    assert await light.job_metrics(1, s=[]) == {}
    assert light.store.requests == before + 1


async def test_an_archived_job_is_read_again_when_its_entry_changes(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0)
    assert (await light.job_metrics(1, m=["cpu_load"]))["cpu_load", "node"]["series"][0]["data"] == [1]
    archived(light, 7.0)
    await light.change(1, job_state="completed", duration=60, monitoring_status=3)
    requests = light.store.requests
    assert [one["data"] for one in (await light.job_metrics(1))["cpu_load", "node"]["series"]] == [[7], [7]]
    archived(light, 8.0)
    assert [one["data"] for one in (await light.job_metrics(1))["cpu_load", "node"]["series"]] == [[8], [8]]
    assert light.store.requests == requests


async def test_statistics_of_running_jobs_are_measured_and_averaged_over_nodes(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 2.0, 4.0)
    light.measured("f0102", "cpu_load", None, 6.0, 8.0)
    query = '{ jobStats(id: "1", metrics: ["cpu_load", "nope"]) { name hasData data { avg min max } }'
    query += ' jobsMetricStats(filter: [{state: [running]}], metrics: ["cpu_load"]) { jobId duration stats { data { avg min max } } }'
    query += ' jobsFootprints(filter: [{jobId: {eq: "1001"}}], metrics: ["cpu_load"]) { metrics { data } timeWeights { nodeHours } } }'
    answer = await light.ask(query)
    load = {"avg": 5.0, "min": 2.0, "max": 8.0}
    assert answer["data"]["jobStats"] == [
        {"name": "cpu_load", "hasData": True, "data": load},
        {"name": "nope", "hasData": False, "data": {"avg": 0, "min": 0, "max": 0}},
    ]
    stats = {one["jobId"]: one for one in answer["data"]["jobsMetricStats"]}
    assert stats["1001"] == {"jobId": "1001", "duration": 600, "stats": [{"data": load}]}
    assert answer["data"]["jobsFootprints"] == {"metrics": [{"data": [5.0]}], "timeWeights": {"nodeHours": [20.0]}}


@pytest.mark.parametrize(
    ("nodes", "scopes", "expected"),
    [
        (2, None, {("cpu_load", "node"), ("mem_bw", "socket"), ("mem_bw", "core")}),
        (2, "[node]", {("cpu_load", "node"), ("mem_bw", "socket"), ("mem_bw", "core"), ("mem_bw", "node")}),  # summed up for the node
        (2, "[socket]", {("cpu_load", "node"), ("mem_bw", "socket"), ("mem_bw", "core")}),
        (64, "[socket]", {("cpu_load", "node"), ("mem_bw", "socket"), ("mem_bw", "core")}),
        (65, "[socket]", {("cpu_load", "node"), ("mem_bw", "socket")}),
    ],
)
async def test_statistics_of_parts_of_an_archived_job_cover_all_stored_scopes(
    nodes: int, scopes: str | None, expected: set[tuple[str, str]], light: Light
) -> None:
    def metric(*ids: str | None) -> MetricData:
        return MetricData(Unit(), 60, tuple(Series("f0101", id_, Statistics(1, 1, 1), np.array([1.0])) for id_ in ids))

    data = {"cpu_load": {"node": metric(None)}, "mem_bw": {"socket": metric("0", "1"), "core": metric("0", "1", "2")}}
    meta = {"cluster": "fritz", "jobId": 1001, "startTime": START_TIME, "statistics": {}}
    light.archive.path.mkdir(exist_ok=True)
    assert write_entries(light.archive.path, [Entry(JobPath("fritz", 1001, START_TIME), render_meta(meta), render_data(data))]) == [None]
    await light.change(1, job_state="completed", duration=60, monitoring_status=3, num_nodes=nodes)
    wish = "" if scopes is None else f", scopes: {scopes}"
    answer = await light.ask(f'{{ scopedJobStats(id: "1"{wish}) {{ name scope stats {{ hostname id }} }} }}')
    assert {(one["name"], one["scope"]) for one in answer["data"]["scopedJobStats"]} == expected
    only = await light.ask(f'{{ scopedJobStats(id: "1", metrics: ["cpu_load"]{wish}) {{ name }} }}')
    assert only["data"]["scopedJobStats"] == [{"name": "cpu_load"}]


async def test_roofline_of_an_archived_job_follows_its_entry(light: Light) -> None:
    """Computed again when the entry is replaced, otherwise cached; node values are sums of the finer ones."""
    await light.change(1, job_state="completed", duration=60, monitoring_status=3)

    def write(value: float) -> None:
        def metric(count: int) -> MetricData:
            return MetricData(
                Unit(), 60, tuple(Series("f0101", str(n), Statistics(1, 1, 1), np.array([value, np.nan])) for n in range(count))
            )

        data = {"flops_any": {"core": metric(4)}, "mem_bw": {"socket": metric(2)}}
        meta = {"cluster": "fritz", "jobId": 1001, "startTime": START_TIME, "statistics": {}}
        light.archive.path.mkdir(exist_ok=True)
        assert write_entries(light.archive.path, [Entry(JobPath("fritz", 1001, START_TIME), render_meta(meta), render_data(data))]) == [
            None
        ]

    async def counts() -> list[list[int]]:
        query = 'rooflineHeatmap(filter: [{jobId: {eq: "1001"}}], rows: 2, cols: 1, minX: 1, minY: 1, maxX: 10, maxY: 10000)'
        cells: list[list[int]] = (await light.ask(f"{{ {query} }}"))["data"]["rooflineHeatmap"]
        return cells

    write(10.0)  # 40 flops, 20 bytes: the lower row
    assert await counts() == [[1], [0]]
    assert await counts() == [[1], [0]]
    write(1000.0)
    assert await counts() == [[0], [1]]


@pytest.mark.parametrize("state", ["running", "completed"])
async def test_the_store_is_not_queried_for_a_job_without_monitoring(state: str, light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 2.0)
    await light.change(1, job_state=state, monitoring_status=0)
    requests = light.store.requests
    answer = await light.ask(
        '{ jobMetrics(id: "1") { name } jobStats(id: "1", metrics: ["cpu_load"]) { data { avg } } scopedJobStats(id: "1") { name }'
        ' job(id: "1") { monitoringStatus } }'
    )
    assert answer["data"] == {
        "jobMetrics": [],
        "jobStats": [{"data": {"avg": 0}}],
        "scopedJobStats": [],
        "job": {"monitoringStatus": 0},
    }
    assert light.store.requests == requests


async def test_a_job_that_cannot_be_read_is_left_out_of_many(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 2.0)
    light.measured("f0101", "flops_any", "hwthread0", 100.0)
    light.measured("f0101", "mem_bw", "socket0", 10.0)
    await light.change(3, monitoring_status=3)  # not in the archive
    answer = await light.ask(
        '{ jobsMetricStats(metrics: ["cpu_load"]) { jobId }'
        ' jobsFootprints(metrics: ["cpu_load"]) { metrics { data } }'
        " rooflineHeatmap(filter: [{}], rows: 2, cols: 2, minX: 1, minY: 1, maxX: 100, maxY: 10000) }"
    )
    assert [one["jobId"] for one in answer["data"]["jobsMetricStats"]] == ["1001", "1002"]
    assert answer["data"]["jobsFootprints"]["metrics"] == [{"data": [1.0, 2.0]}]
    assert answer["data"]["rooflineHeatmap"] == [[0, 0], [0, 2]]
    assert "errors" in await light.ask("{ rooflineHeatmap(filter: [{}], rows: 1, cols: 1, minX: 0, minY: 1, maxX: 2, maxY: 2) }")


async def test_more_jobs_than_the_limit_are_refused(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    limits = SeriesSettings(analysis_jobs=2, comparison_jobs=2)
    jobs = [job_row(key, monitoring_status=0) for key in range(1, 4)]
    async with light_site(site, sqlite_database, archive_settings, jobs, series=limits) as light:
        answer = await light.ask('{ jobsFootprints(metrics: ["cpu_load"]) { metrics { metric } } }')
        assert "too many jobs matched (max: 2)" in answer["errors"][0]["message"]


@pytest.mark.parametrize(("limit", "ids", "has_more"), [(2, [2, 3], True), (3, [1, 2, 3], False), (4, [1, 2, 3], False)])
async def test_statistics_of_many_jobs_are_those_of_the_newest(
    limit: int, ids: list[int], has_more: bool, site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    statistics = '{"cpu_load":{"unit":{"base":""},"avg":1.0,"min":1.0,"max":1.0}}'
    jobs = [job_row(key, start_time=1000 * key, job_state="completed", monitoring_status=2, statistics=statistics) for key in (2, 3, 1)]
    async with light_site(site, sqlite_database, archive_settings, jobs, series=SeriesSettings(comparison_jobs=limit)) as light:
        answer = await light.ask('{ jobsMetricStats(metrics: ["cpu_load"]) { id } jobsMetricStatsHasMore }')
    assert [job["id"] for job in answer["data"]["jobsMetricStats"]] == ids
    assert answer["data"]["jobsMetricStatsHasMore"] is has_more


async def test_a_user_gets_no_metric_data_of_other_users(light: Light) -> None:
    await light.change(1, hpc_user="someone")
    for field in ('jobMetrics(id: "1") { name }', 'jobStats(id: "1", metrics: ["cpu_load"]) { name }', 'scopedJobStats(id: "1") { name }'):
        answer = await light.ask(f"{{ {field} }}", "user")
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    answer = await light.ask('{ jobsMetricStats(metrics: ["cpu_load"]) { jobId } }', "user")
    assert {one["jobId"] for one in answer["data"]["jobsMetricStats"]} <= {"1002", "1003"}


async def test_metric_data_of_many_nodes_do_not_block_other_requests(
    site: NatsSettings, sqlite_database: DatabaseSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The sample job on 32 nodes, all its metrics at once: 13 MB of text."""
    job = IMPORTED[0]
    place = {"cluster": job.cluster, "subcluster": "haswell", "job_id": job.job_id, "start_time": job.start_time}
    row = job_row(1, num_nodes=32, monitoring_status=3, **place)
    assert len(read_data(ARCHIVE, job)["cpu_load"]["node"].series) == 32
    async with light_site(site, sqlite_database, ArchiveSettings(path=ARCHIVE), [row]) as light:
        asked = asyncio.ensure_future(light.client.raw("GET", "/api/jobs/metrics/1", auth=ACTORS["api"]))
        # Processor time, which does not count what other processes on the machine take: of the event loop's thread, and of all threads.
        began, last = time.process_time(), time.thread_time()
        longest = 0.0
        while not asked.done():
            await asyncio.sleep(0.001)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
        took = time.process_time() - began
        assert (await asked).status == 200
        assert longest < max(0.05, took / 3), f"held up for {longest:.3f} s of {took:.3f} s"
