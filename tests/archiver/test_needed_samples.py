"""The archiver records from when on samples are needed, and the metric store keeps their files."""

from pathlib import Path
from typing import Any

import pytest

from services.archiver import needed_samples
from services.metricstore import app as metricstore
from shared.broker.needed import NeededSamples
from shared.metricdata import MetricsSettings
from shared.settings import NatsSettings
from tests.archiver.site import Site, job_row
from tests.archiver.site import running as archiver_running
from tests.metricstore.site import QUICK, add, cluster_text, now
from tests.metricstore.site import running as store_running
from tests.support.nats import client_of
from tests.support.waiting import until


async def needed(nats: NatsSettings) -> dict[str, int]:
    async with client_of(nats) as client:
        return await NeededSamples(client, nats).read()


async def test_the_earliest_job_that_runs_or_waits_for_its_archive_is_recorded_by_cluster_again_and_again(
    archive_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needed_samples, "INTERVAL_S", 0.2)
    running: dict[str, Any] = {"job_state": "running", "monitoring_status": 1}
    await archive_site.store(
        job_row(1, job_id=1, start_time=500, monitoring_status=3),  # archived
        job_row(2, job_id=2, start_time=600, **running | {"monitoring_status": 0}),  # monitoring disabled
        job_row(3, job_id=3, start_time=2000, **running),
        job_row(4, job_id=4, start_time=1000, stop_seq=1),  # waits
        job_row(5, job_id=5, start_time=3000, cluster="alex", **running),
        position=1,
    )
    assert await needed(archive_site.nats) == {}
    metrics = MetricsSettings(kind="cc-metric-store", url="http://127.0.0.1:1")
    async with archiver_running(archive_site.with_settings(metrics=metrics)):

        async def is_recorded() -> bool:
            return await needed(archive_site.nats) == {"fritz": 1000, "alex": 3000}

        await until(is_recorded, 20)
        async with client_of(archive_site.nats) as client:
            await NeededSamples(client, archive_site.nats).record({})  # as in a bucket that was created again
        await until(is_recorded, 20)


@pytest.mark.timeout(120)
async def test_the_metric_store_keeps_files_of_jobs_that_are_not_archived(
    nats_settings: NatsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metricstore, "NEEDED_S", 0.2)
    await add(nats_settings, cluster_text("nova", {"mem_used": (60, "sum")}))
    old = now() - 5 * 3600
    settings = QUICK.model_copy(update={"path": tmp_path / "samples", "save_s": 1.0, "memory_hours": 1.0})

    def left() -> list[Path]:
        return list((tmp_path / "samples").glob("nova/*.parquet"))

    async with store_running(nats_settings, settings) as store:
        await store.write(f"mem_used,cluster=nova,hostname=n1 value=1 {old}")
        await until(left, 20)
    async with client_of(nats_settings) as client:
        record = NeededSamples(client, nats_settings)
        await record.record({"nova": old - 60})
        async with store_running(nats_settings, settings.model_copy(update={"retention_days": 0.1})) as store:
            await store.write(f"mem_used,cluster=nova,hostname=n1 value=2 {now()}")
            await until(lambda: len(left()) == 2, 20)
            await record.record({})
            await until(lambda: len(left()) == 1, 20)
