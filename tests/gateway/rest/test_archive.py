"""Statistics and metric data of archived jobs."""

import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.archive import Entry, pack, read_meta, render_data, render_meta, write_entries
from shared.archive.files import FileStore
from shared.archive.places import store_of
from shared.archive.selection import Selection
from shared.archive.transfer import transfer
from shared.metricdata import MetricData, Series, Statistics, Unit
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.recorded import IMPORTED, import_sample_jobs
from tests.gateway.stack import Client, gateway, jobstore
from tests.support.builders import START_TIME, start_payload
from tests.support.waiting import until

METRICS = {"clock", "cpu_load", "flops_any", "flops_dp", "flops_sp", "ipc", "mem_bw", "mem_used", "rapl_power"}


@pytest.fixture
async def imported(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """The two jobs of the sample archive, as ids 1 and 2."""
    await import_sample_jobs(site, archive_settings)
    async with jobstore(site, sqlite_database), gateway(site, sqlite_database, archive_settings) as client:

        async def projected() -> bool:
            return len((await client.get("/api/jobs/"))[1]["jobs"]) == 2

        await until(projected)
        yield client


async def test_all_metrics_have_node_scope_and_statistics_over_the_nodes(imported: Client) -> None:
    status, answer = await imported.get("/api/jobs/1?all-metrics=true")
    assert status == 200
    data = answer["Data"]
    assert set(data) == METRICS
    load = data["cpu_load"]["node"]
    assert (len(load["series"]), load["timestep"], load["unit"]) == (32, 60, {"base": "load"})
    steps = {len(load["statisticsSeries"][name]) for name in ("min", "median", "max")}
    assert steps == {max(len(series["data"]) for series in load["series"])}
    assert answer["Meta"]["statistics"] is None


async def test_long_series_have_the_coarsest_timestep_of_the_cluster(imported: Client, archive_settings: ArchiveSettings) -> None:
    await until_ready(imported)
    samples = np.arange(2000.0)
    fine = MetricData(Unit(), 30, (Series("e0101", None, Statistics(1, 0, 2), samples),))
    coarse = MetricData(Unit(), 60, (Series("e0101", None, Statistics(1, 0, 2), samples[:1000]),))
    data = render_data({"cpu_load": {"node": coarse}, "mem_bw": {"node": fine}})
    meta = render_meta(read_meta(archive_settings.path, IMPORTED[0]))
    assert write_entries(archive_settings.path, [Entry(IMPORTED[0], meta, *pack(data))]) == [None]
    _, answer = await imported.get("/api/jobs/1?all-metrics=true")
    found = {name: (one["node"]["timestep"], len(one["node"]["series"][0]["data"])) for name, one in answer["Data"].items()}
    assert found == {"cpu_load": (60, 1000), "mem_bw": (60, 1000)}


async def test_selected_metrics_are_listed_once_each_without_unknown_ones(imported: Client) -> None:
    for asked, found in ((["cpu_load", "nope", "cpu_load"], ["cpu_load"]), ([], []), (None, sorted(METRICS))):
        _, answer = await imported.call("POST", "/api/jobs/2", data=b"null") if asked is None else await imported.post("/api/jobs/2", asked)
        assert sorted(metric["name"] for metric in answer["Data"]) == found
        assert {metric["scope"] for metric in answer["Data"]} <= {"node"}


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'["a"', b'"cpu_load"'])
async def test_a_body_without_metric_names_is_400(imported: Client, body: bytes) -> None:
    assert (await imported.call("POST", "/api/jobs/1", data=body))[0] == 400


async def test_an_unreadable_entry_is_an_error_for_its_data_and_the_list_is_unaffected(
    imported: Client, archive_settings: ArchiveSettings
) -> None:
    shutil.rmtree(IMPORTED[0].under(archive_settings.path))
    status, answer = await imported.get("/api/jobs/1?all-metrics=true")
    assert (status, answer["status"]) == (500, "Internal Server Error")
    status, listed = await imported.get("/api/jobs/")
    # The import includes the statistics.
    assert (status, [set(job["statistics"]) for job in listed["jobs"]]) == (200, [METRICS, METRICS])
    assert (await imported.get("/api/jobs/1"))[1]["Data"] is None


async def test_an_archive_that_does_not_answer_costs_its_data_until_it_does(imported: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def waiting(method: Callable[..., Any]) -> Callable[..., Any]:
        def wait(*arguments: Any) -> Any:
            answers.wait()
            return method(*arguments)

        return wait

    for name in ("texts", "document"):
        monkeypatch.setattr(FileStore, name, waiting(getattr(FileStore, name)))
    monkeypatch.setattr("services.gateway.metrics.archived.SMALL_S", 0.2)
    monkeypatch.setattr("services.gateway.metrics.archived.DATA_S", 0.2)
    try:
        for _ in range(4):  # more than there are threads
            status, answer = await imported.get("/api/jobs/1?all-metrics=true")
            assert (status, answer["error"]) == (503, "the archive does not answer")
        status, listed = await imported.get("/api/jobs/")
        assert (status, [set(job["statistics"]) for job in listed["jobs"]]) == (200, [METRICS, METRICS]), "as imported"
        assert (await imported.get("/api/jobs/1"))[1]["Data"] is None
    finally:
        answers.set()
    monkeypatch.setattr("services.gateway.metrics.archived.DATA_S", 60.0)

    async def is_read() -> bool:
        return (await imported.get("/api/jobs/1?all-metrics=true"))[0] == 200

    await until(is_read)


async def test_a_job_that_is_not_archived_has_no_data(sqlite_api: Client) -> None:
    await sqlite_api.post("/api/jobs/start_job/", start_payload(1))
    assert (await sqlite_api.get("/api/jobs/1?all-metrics=true"))[1]["Data"] == {}
    await sqlite_api.post("/api/jobs/stop_job/", {"jobId": 1, "stopTime": START_TIME + 60})
    assert (await sqlite_api.post("/api/jobs/1", ["cpu_load"]))[1]["Data"] == []


async def test_an_archive_in_another_place_is_read_the_same_way_and_its_outage_is_503(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, tmp_path: Path
) -> None:
    await import_sample_jobs(site, archive_settings)
    elsewhere = ArchiveSettings(path=tmp_path / "none", url=f"sqlite:///{tmp_path}/archive.db")
    folder, file = FileStore(archive_settings.path), store_of(elsewhere)
    assert transfer(folder, file, Selection()).done == 2
    file.close()
    async with (
        jobstore(site, sqlite_database),
        gateway(site, sqlite_database, archive_settings) as expected,
        gateway(site, sqlite_database, elsewhere) as client,
    ):

        async def projected() -> bool:
            return all([len((await one.get("/api/jobs/"))[1]["jobs"]) == 2 for one in (expected, client)])

        await until(projected)
        for path in ("/api/jobs/1?all-metrics=true", "/api/jobs/"):
            assert await client.get(path) == await expected.get(path)
        (tmp_path / "archive.db").rename(tmp_path / "away.db")
        assert (await client.get("/api/jobs/2?all-metrics=true"))[0] == 503
        assert len((await client.get("/api/jobs/"))[1]["jobs"]) == 2
