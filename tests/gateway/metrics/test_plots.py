"""Data for plots: series reduced to a number of points, the bands of a page of jobs, and the newest values of nodes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from shared.archive import Entry, JobPath, add_thumbnail, render_data, render_meta, write_entries
from shared.archive.files import FileStore
from shared.metricdata import MetricData, Series, Statistics, Unit
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.metrics.light import Light, light_site, running_job
from tests.gateway.rows import job_row
from tests.support.builders import START_TIME

BANDS = """query($ids: [ID!]!, $metrics: [String!], $points: Int) { jobsMetrics(ids: $ids, metrics: $metrics, points: $points) {
    id metrics { name scope unit { base prefix } timestep min median max } } }"""
PART = """query($id: ID!, $points: Int, $from: Int) {
    jobMetrics(id: $id, metrics: ["cpu_load"], scopes: [node], points: $points, from: $from) {
        metric { timestep from series { hostname data } statisticsSeries { mean median min max } } } }"""
HOSTS = ("f0101", "f0102")


def archive(light: Light, key: int, **metrics: list[list[float]]) -> None:
    """Archive a job with one row of samples per host."""
    data = {
        name: {
            "node": MetricData(
                Unit("B/s", "G"),
                60,
                tuple(Series(host, None, Statistics(1, 1, 1), np.array(row)) for host, row in zip(HOSTS, rows, strict=False)),
            )
        }
        for name, rows in metrics.items()
    }
    meta = {"cluster": "fritz", "jobId": 1000 + key, "startTime": START_TIME, "statistics": {}}
    light.archive.path.mkdir(exist_ok=True)
    entry = Entry(JobPath("fritz", 1000 + key, START_TIME), render_meta(meta), render_data(data), False)
    assert write_entries(light.archive.path, [entry]) == [None]


@pytest.fixture
async def light(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Light]:
    """Job 1 is running on two nodes, 2 and 3 are archived, 4 belongs to another user and was not monitored."""
    archived = {"start_time": START_TIME, "monitoring_status": 3, "job_state": "completed", "duration": 600}
    jobs = [
        running_job(1, *HOSTS, hpc_user="ulla"),
        job_row(2, **archived, hpc_user="ulla"),
        job_row(3, **archived, hpc_user="otto"),
        job_row(4, hpc_user="otto", monitoring_status=0),
    ]
    async with light_site(site, sqlite_database, archive_settings, jobs) as found:
        yield found


async def bands(light: Light, *ids: int, actor: str = "admin", **arguments: object) -> dict[int, dict[str, dict[str, object]]]:
    answer = await light.ask(BANDS, actor, ids=[str(key) for key in ids], **arguments)
    assert "errors" not in answer, answer
    return {job["id"]: {one.pop("name"): one for one in job["metrics"]} for job in answer["data"]["jobsMetrics"]}


async def test_bands_of_running_and_archived_jobs_come_in_one_answer(light: Light) -> None:
    light.measured("f0101", "mem_bw", "socket0", 1.0, 2.0, 3.0, 4.0)
    light.measured("f0102", "mem_bw", "socket0", 5.0, 6.0, 123.456, 8.0)
    archive(light, 2, mem_bw=[[1, 2, 3, 4, 5], [3, 2, 1, 0, 0.00123]], cpu_load=[[7]])
    found = await bands(light, 2, 99, 1, 4, metrics=["mem_bw"], points=2)
    assert list(found) == [2, 1, 4]
    assert found[4] == {}
    unit = {"base": "B/s", "prefix": "G"}
    assert found[1] == {
        "mem_bw": {"scope": "node", "unit": unit, "timestep": 120, "min": [1, 3], "median": [3.5, 34.61], "max": [6, 123.5]}
    }
    assert found[2] == {"mem_bw": {"scope": "node", "unit": unit, "timestep": 180, "min": [1, 0], "median": [2, 2.25], "max": [3, 5]}}


async def test_bands_of_every_metric_are_not_reduced_below_the_number_of_points(light: Light) -> None:
    archive(light, 2, mem_bw=[[1, 2, 3]], cpu_load=[[7]])
    found = await bands(light, 2)
    assert found[2]["mem_bw"]["timestep"] == 60
    assert (found[2]["mem_bw"]["median"], found[2]["cpu_load"]["max"]) == ([1, 2, 3], [7])
    assert await bands(light, 2, metrics=[]) == {2: {}}
    assert await bands(light) == {}


async def test_bands_of_jobs_that_the_user_may_not_see_and_of_unreadable_entries_are_left_out(light: Light) -> None:
    archive(light, 2, mem_bw=[[1]])
    assert list(await bands(light, 1, 2, 3, 4)) == [1, 2, 4]
    archive(light, 3, mem_bw=[[1]])
    assert list(await bands(light, 1, 2, 3, 4)) == [1, 2, 3, 4]
    assert list(await bands(light, 1, 2, 3, 4, actor="user")) == [1, 2]


@pytest.mark.parametrize("points", [None, 64, 3])
async def test_bands_of_an_archived_job_are_read_from_its_thumbnail(light: Light, points: int | None) -> None:
    """The data file is damaged without a change of its size, so nothing else can answer."""
    archive(light, 2, mem_bw=[[1, 2, 3, 4, 5], [6, 7, 8, 9, 10.0]], cpu_load=[[7]])
    expected = await bands(light, 2, metrics=["cpu_load", "mem_bw"], points=points)
    path = JobPath("fritz", 1002, START_TIME)
    add_thumbnail(FileStore(light.archive.path), path)
    file = path.under(light.archive.path) / "data.json"
    file.write_bytes(b" " * file.stat().st_size)
    assert await bands(light, 2, metrics=["cpu_load", "mem_bw"], points=points) == expected
    assert await bands(light, 2, points=65) == {}
    file.write_bytes(b" ")
    assert await bands(light, 2, points=points) == {}


async def test_bands_change_when_the_job_is_archived_again(light: Light) -> None:
    archive(light, 2, mem_bw=[[1]])
    assert (await bands(light, 2))[2]["mem_bw"]["min"] == [1]
    archive(light, 2, mem_bw=[[2]])
    assert (await bands(light, 2))[2]["mem_bw"]["min"] == [2]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('jobsMetrics(ids: ["x"]) { id }', "ids: "),
        ('jobsMetrics(ids: ["1"], points: 0) { id }', "points: 0 is not between 1 and 10000"),
        ('jobsMetrics(ids: ["1"], points: 10001) { id }', "points: 10001 is not between 1 and 10000"),
        ('jobMetrics(id: "1", points: -1) { name }', "points: -1 is not between 1 and 10000"),
        ('jobMetrics(id: "1", points: 60, resolution: 60) { name }', "points, resolution: only one of them may be given"),
        ('jobMetrics(id: "1", from: 60, resolution: 60) { name }', "from, resolution: only one of them may be given"),
    ],
)
async def test_wrong_points_are_refused(light: Light, query: str, message: str) -> None:
    answer = await light.ask("{ " + query + " }")
    assert answer["errors"][0]["message"].startswith(message)


@pytest.mark.parametrize("key", [1, 2], ids=["running", "archived"])
@pytest.mark.parametrize(("points", "since", "begin", "kept"), [(5, 250, 240, 3), (5, 600, 600, 0), (None, 250, 240, 6), (5, -60, 0, 5)])
async def test_a_part_of_the_series_continues_what_a_viewer_has(
    light: Light, key: int, points: int | None, since: int, begin: int, kept: int
) -> None:
    rows = [[1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10], [30.0, 29, 28, 27, 26, 25, 24, 23, 22, 21]]
    for host, row in zip(HOSTS, rows, strict=True):
        light.measured(host, "cpu_load", None, *row)
    archive(light, 2, cpu_load=rows)

    async def part(**arguments: Any) -> dict[str, Any]:
        answer = await light.ask(PART, id=str(key), points=points, **arguments)
        assert "errors" not in answer, answer
        found = answer["data"]["jobMetrics"]
        return found[0]["metric"] if found else {}

    whole = await part()
    assert whole["from"] == 0
    found = await part(**{"from": since})
    if not kept:
        assert not found.get("series")
        return
    assert (found["from"], found["timestep"]) == (begin, whole["timestep"])
    for one, of_whole in zip(found["series"], whole["series"], strict=True):
        assert one["data"] == of_whole["data"][-kept:]
    if points:
        assert found["statisticsSeries"] == {name: values[-kept:] for name, values in whole["statisticsSeries"].items()}


async def test_only_the_wanted_part_of_a_running_job_is_read_from_the_store(light: Light) -> None:
    """The store refuses to answer about the time before."""
    light.measured("f0101", "cpu_load", None, *range(10))

    async def refuses(request: dict[str, Any]) -> web.Response | None:
        return None if request["from"] >= START_TIME + 480 else web.Response(status=400)

    light.store.mood = refuses
    variables: dict[str, Any] = {"id": "1", "points": 10, "from": 500}
    answer = await light.ask(PART, **variables)
    (found,) = answer["data"]["jobMetrics"]
    assert (found["metric"]["from"], found["metric"]["series"][0]["data"]) == (480, [8, 9])


async def test_a_page_of_bands_is_bounded(light: Light) -> None:
    answer = await light.ask(BANDS, ids=[str(key) for key in range(1, 202)])
    assert answer["errors"][0]["message"] == "ids: 201 jobs, more than 200"
    answer = await light.ask(BANDS, ids=["1", "2"], points=6401)
    assert answer["errors"][0]["message"] == "points: 2 jobs may have at most 6400 points each"


async def test_series_are_reduced_to_means_and_always_have_a_band(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0, 2.0, 3.0, 4.0, 5.12345)
    light.measured("f0102", "cpu_load", None, 6.0, after_s=120)
    query = """{ jobMetrics(id: "1", metrics: ["cpu_load"], scopes: [node], points: 3) { metric { timestep
        series { data statistics { max } }
        statisticsSeries { mean median min max } } } }"""
    answer = await light.ask(query)
    (found,) = answer["data"]["jobMetrics"]
    assert found["metric"]["timestep"] == 120
    assert [one["data"] for one in found["metric"]["series"]] == [[1.5, 3.5, 5.123], [None, 6, None]]
    assert found["metric"]["series"][0]["statistics"] == {"max": 5.12}
    band = {"mean": [1.5, 4.333, 5.123], "median": [1.5, 4.25, 5.123], "min": [1, 3, 5.123], "max": [2, 6, 5.123]}
    assert found["metric"]["statisticsSeries"] == band
    archive(light, 2, cpu_load=[[1, 2, 3, 4, 5.12345], [6]])
    (found,) = (await light.ask(query.replace('"1"', '"2"')))["data"]["jobMetrics"]
    assert [one["data"] for one in found["metric"]["series"]] == [[1.5, 3.5, 5.12], [6, None, None]]


async def test_node_metrics_take_points(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0, 2.0, 3.0, 4.12345)
    window = f'from: "{_time(0)}", to: "{_time(240)}"'
    by_name = (
        'cluster: "fritz", subCluster: "main", stateFilter: "all", nodeFilter: "f0101", scopes: [node], page: {itemsPerPage: 1, page: 1}'
    )
    query = f"""{{ nodeMetrics(cluster: "fritz", nodes: ["f0101"], metrics: ["cpu_load"], {window}, points: 2) {{ host metrics {{
        metric {{ timestep series {{ data }} statisticsSeries {{ min max }} }} }} }}
        nodeMetricsList({by_name}, metrics: ["cpu_load"], {window}, points: 1) {{
        items {{ metrics {{ metric {{ timestep series {{ data }} }} }} }} }} }}"""
    answer = await light.ask(query)
    metric = {"timestep": 120, "series": [{"data": [1.5, 3.562]}], "statisticsSeries": {"min": [1, 3], "max": [2, 4.123]}}
    assert answer["data"]["nodeMetrics"] == [{"host": "f0101", "metrics": [{"metric": metric}]}]
    metric = {"timestep": 240, "series": [{"data": [2.531]}]}
    assert answer["data"]["nodeMetricsList"]["items"] == [{"metrics": [{"metric": metric}]}]


async def test_the_newest_value_of_each_node_is_one_number_with_its_time(light: Light) -> None:
    light.measured("f0101", "cpu_load", None, 1.0, 2.0, 3.12345, after_s=420)
    light.measured("f0101", "mem_bw", "socket0", 10.0, 20.0, after_s=480)
    light.measured("f0101", "mem_bw", "socket1", 1.0, after_s=480)  # the last minute has not arrived yet
    light.measured("f0102", "cpu_load", None, 7.0)  # nine minutes ago
    query = """query($m: [String!]) { nodesNow(cluster: "fritz", metrics: $m) { host subCluster metrics { name value time } } }"""
    answer = await light.ask(query, m=["cpu_load", "mem_bw", "nope"])
    load = {"name": "cpu_load", "value": 3.123, "time": START_TIME + 540}
    bandwidth = {"name": "mem_bw", "value": 11.0, "time": START_TIME + 480}
    assert answer["data"]["nodesNow"] == [{"host": "f0101", "subCluster": "main", "metrics": [load, bandwidth]}]
    assert (await light.ask(query, m=[]))["data"]["nodesNow"] == []
    assert [one["host"] for one in (await light.ask(query))["data"]["nodesNow"]] == ["f0101"]
    assert (await light.ask(query, "user"))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    answer = await light.ask(query.replace("fritz", "nope"))
    assert answer["errors"][0]["message"] == "unknown cluster: nope"


def _time(after_s: int) -> str:
    return datetime.fromtimestamp(START_TIME + after_s, UTC).isoformat()
