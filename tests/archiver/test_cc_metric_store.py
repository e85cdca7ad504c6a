"""The adapter for cc-metric-store against a server that answers like the real one."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from shared.domain.payloads import Resource
from shared.metricdata import JobRequest, MetricsSettings, SourceRefused, SourceUnavailable, request_of, request_until, results_of
from shared.metricdata.cc_metric_store import CcMetricStore
from tests.archiver.feed import T0, recorded_store, value
from tests.archiver.recordings import exchanges
from tests.support.clusters import sample_clusters
from tests.support.metric_store import MetricStore, serving

CLUSTERS = sample_clusters()


@pytest.fixture
def store() -> MetricStore:
    return recorded_store()


@pytest.fixture
async def adapter(store: MetricStore) -> AsyncIterator[CcMetricStore]:
    async with serving(store) as url, CcMetricStore(quick(url)) as opened:
        yield opened


def quick(url: str, **changes: Any) -> MetricsSettings:
    fields: dict[str, Any] = {"kind": "cc-metric-store", "url": url, "timeout_s": 0.5, "tries": 2, "queries": 300}
    return MetricsSettings(**(fields | changes))


def wanted(
    hosts: list[str], cluster: str = "fritz", subcluster: str = "main", start: int = T0, duration: int = 600, **changes: Any
) -> JobRequest:
    fields: dict[str, Any] = {"resources": [Resource(hostname=host) for host in hosts], "num_acc": 0} | changes
    return JobRequest(cluster=CLUSTERS[cluster], subcluster=subcluster, start=start, duration=duration, **fields)


@pytest.mark.parametrize("name", [name for name in sorted(exchanges()) if name.startswith("ccb/archive")])
async def test_job_statistics_equal_those_archived_by_cc_backend(name: str, adapter: CcMetricStore) -> None:
    meta = exchanges()[name]["archived_meta"]
    cluster = CLUSTERS[meta["cluster"]]
    loaded = await adapter.load(request_of(_row(meta), cluster, finest_scope_nodes=8))
    results = results_of(loaded.data, cluster.metrics_on(meta["subCluster"]), num_nodes=meta["numNodes"], duration_s=meta["duration"])
    found = results.statistics_document()
    assert {metric: found.get(metric) for metric in meta["statistics"]} == meta["statistics"]
    # cc-backend has no node value for accelerators if one of them failed during the job
    beyond = set(found) - set(meta["statistics"])
    assert all(metric.startswith(("acc_", "nv_")) for metric in beyond)


def _row(meta: dict[str, Any]) -> dict[str, Any]:

    return {
        "subcluster": meta["subCluster"],
        "start_time": meta["startTime"],
        "duration": meta["duration"],
        "num_nodes": meta["numNodes"],
        "num_acc": meta.get("numAcc", 0),
        "resources": json.dumps(meta["resources"]),
    }


@pytest.mark.parametrize(
    ("cluster", "subcluster", "hosts", "num_acc"),
    [("fritz", "main", ["f0101", "f0102", "f0103", "f0106", "f9999"], 0), ("alex", "a100", ["a0603"], 8), ("alex", "a40", ["a0121"], 8)],
)
async def test_footprint_and_energy_are_the_same_without_samples(
    adapter: CcMetricStore, store: MetricStore, cluster: str, subcluster: str, hosts: list[str], num_acc: int
) -> None:
    """Some hosts begin late and some devices failed: the store does not combine these, or cuts them to the shortest."""
    topology = CLUSTERS[cluster].subcluster(subcluster)
    assert topology is not None
    accelerators = [one.id for one in topology.topology.accelerators][:num_acc] or None
    resources = [{"hostname": host, "accelerators": accelerators} for host in hosts]
    row = {
        "subcluster": subcluster,
        "start_time": T0,
        "duration": 3000,
        "num_nodes": len(hosts),
        "num_acc": num_acc,
        "resources": json.dumps(resources),
    }
    metrics = CLUSTERS[cluster].metrics_on(subcluster)
    asked: list[bool] = []

    async def listen(body: Any) -> None:
        asked.append(body["with-data"])

    whole = await adapter.load(request_of(row, CLUSTERS[cluster], finest_scope_nodes=8))
    store.mood = listen
    request = request_until(T0 + 3000, row, CLUSTERS[cluster], metrics)
    bare = await adapter.load(request)
    expected, found = (results_of(loaded.data, metrics, num_nodes=len(hosts), duration_s=3000) for loaded in (whole, bare))
    assert (found.footprint, found.energy_footprint, found.energy) == (expected.footprint, expected.energy_footprint, expected.energy)
    assert found.footprint
    assert asked[0] is False
    assert request.metrics is not None
    assert set(bare.data) <= request.metrics < set(whole.data) | request.metrics


async def test_samples_are_aligned_to_the_time_axis_of_the_job(adapter: CcMetricStore) -> None:
    """f0103 begins 25 minutes after the others."""
    loaded = await adapter.load(wanted(["f0101", "f0103"], start=T0 + 20 * 60, duration=600, metrics=frozenset({"mem_used"})))
    first, late = loaded.data["mem_used"]["node"].series
    assert first.data.tolist() == [value("mem_used", "f0101", 0, T0 + (20 + k) * 60) for k in range(10)]
    assert np.isnan(late.data[:5]).all()
    assert late.data[5:].tolist() == [value("mem_used", "f0103", 0, T0 + (25 + k) * 60) for k in range(5)]


async def test_missing_samples_and_missing_hosts(adapter: CcMetricStore) -> None:
    loaded = await adapter.load(wanted(["f0101", "f0104"], metrics=frozenset({"cpu_load"})))
    (series,) = loaded.data["cpu_load"]["node"].series
    assert series.hostname == "f0101"
    assert [math.isnan(sample) for sample in series.data] == [slot in (5, 6, 7) for slot in range(10)]
    assert loaded.problems == []


async def test_elements_keep_their_ids_when_some_have_no_data(adapter: CcMetricStore) -> None:
    devices = CLUSTERS["alex"].subcluster("a100")
    assert devices is not None
    ids = [device.id for device in devices.topology.accelerators]
    request = wanted(
        ["a0603"],
        "alex",
        "a100",
        duration=3600,
        resources=[Resource(hostname="a0603", accelerators=ids)],
        num_acc=8,
        scopes=frozenset({"node", "core", "accelerator"}),
        metrics=frozenset({"acc_power", "cpu_user"}),
    )
    loaded = await adapter.load(request)
    power = loaded.data["acc_power"]
    assert [series.id for series in power["accelerator"].series] == ids[:7]
    assert sorted(loaded.data["cpu_user"]) == ["core", "node"]  # requesting accelerators does not affect cores
    # The sixth device failed after half of the time: the store cannot sum it up, the adapter can.
    (node,) = power["node"].series
    before, after = (
        sum(value("acc_power", "a0603", one, T0 + slot * 60) for one in who) for slot, who in ((10, range(7)), (40, (0, 1, 2, 3, 4, 6)))
    )
    assert (node.data[10], node.data[40]) == (before, after)
    assert node.id is None


async def test_a_series_that_the_store_would_cut_is_complete(adapter: CcMetricStore) -> None:
    """Hardware thread 2 of f0106 ends after 40 minutes; requested first, it silently shortens the sum."""
    resources = [Resource(hostname="f0106", hwthreads=[2, 0])]
    loaded = await adapter.load(wanted([], duration=3600, resources=resources, metrics=frozenset({"flops_any"})))
    (node,) = loaded.data["flops_any"]["node"].series
    assert node.data.size == 60
    assert node.data[50] == value("flops_any", "f0106", 0, T0 + 50 * 60)


async def test_an_unknown_metric_is_a_problem_and_the_rest_is_returned(store: MetricStore, adapter: CcMetricStore) -> None:
    del store.metrics["mem_used"]
    loaded = await adapter.load(wanted(["f0101"], metrics=frozenset({"mem_used", "cpu_load"})))
    assert list(loaded.data) == ["cpu_load"]
    assert "unknown metric: mem_used" in loaded.problems[0]


async def test_an_answer_of_only_errors_is_a_failure(store: MetricStore, adapter: CcMetricStore) -> None:
    del store.metrics["mem_used"]
    with pytest.raises(SourceUnavailable, match="unknown metric: mem_used"):
        await adapter.load(wanted(["f0101"], metrics=frozenset({"mem_used"})))


async def test_no_data_without_an_error_is_an_empty_answer(adapter: CcMetricStore) -> None:
    assert (await adapter.load(wanted(["f0104"]))).data == {}


async def test_a_value_too_large_for_json_affects_only_its_series(store: MetricStore, adapter: CcMetricStore) -> None:
    for socket in (0, 1):
        store.add("fritz", "f0101", f"socket{socket}", "mem_bw", T0, {0: 1.7e308})
    loaded = await adapter.load(wanted(["f0101", "f0102"], metrics=frozenset({"mem_bw", "cpu_load"})))
    assert [series.hostname for series in loaded.data["mem_bw"]["node"].series] == ["f0102"]
    assert len(loaded.data["cpu_load"]["node"].series) == 2
    assert "cannot represent" in loaded.problems[0]


async def test_a_window_above_the_limit_is_never_requested(store: MetricStore, adapter: CcMetricStore) -> None:
    with pytest.raises(SourceRefused, match="max_window_days"):
        await adapter.load(wanted(["f0101"], start=1, duration=10**13))
    assert store.requests == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (web.Response(status=500, text="broken"), "answers 500: broken"),
        (web.Response(status=401, text="Token is expired"), "rejects the credentials: Token is expired"),
        (web.Response(body=b"<html>"), "invalid answer"),
        (web.Response(body=b"[]"), "invalid answer"),
        (web.Response(body=b'{"results":[]}'), "0 results for 1 queries"),
        (web.Response(body=b'{"results":[[1,2]]}'), "invalid answer"),
        (web.Response(body=b'{"results":[[{"data":["x"],"from":1,"to":2,"resolution":60}]]}'), "invalid answer"),
    ],
    ids=["error", "token", "html", "list", "short", "numbers", "text"],
)
async def test_an_invalid_answer_is_an_unavailable_source(
    answer: web.Response, why: str, store: MetricStore, adapter: CcMetricStore
) -> None:
    async def mood(_: Any) -> web.Response:
        return web.Response(status=answer.status, body=answer.body)

    store.mood = mood
    with pytest.raises(SourceUnavailable, match=why):
        await adapter.load(wanted(["f0101"], metrics=frozenset({"cpu_load"})))


async def test_a_hanging_store_ends_with_the_timeout(store: MetricStore, adapter: CcMetricStore) -> None:
    async def mood(_: Any) -> None:
        await asyncio.sleep(30)

    store.mood = mood
    with pytest.raises(SourceUnavailable, match="did not answer within"):
        await asyncio.wait_for(adapter.load(wanted(["f0101"], metrics=frozenset({"cpu_load"}))), 30)


async def test_a_failed_request_is_retried(store: MetricStore, adapter: CcMetricStore) -> None:
    failures = iter([True])

    async def mood(_: Any) -> web.Response | None:
        return web.Response(status=503) if next(failures, False) else None

    store.mood = mood
    assert (await adapter.load(wanted(["f0101"], metrics=frozenset({"cpu_load"})))).data
    assert store.requests == 2


async def test_a_refused_connection_is_an_unavailable_source() -> None:
    async with CcMetricStore(quick("http://127.0.0.1:9")) as adapter:
        with pytest.raises(SourceUnavailable):
            await adapter.check(adapter.stores()[0])


async def test_each_cluster_may_have_its_own_store(store: MetricStore) -> None:
    store.token = "secret"
    async with serving(store) as url, CcMetricStore(quick("http://127.0.0.1:9", cluster_urls={"fritz": url}, token="secret")) as adapter:
        assert (await adapter.load(wanted(["f0101"], metrics=frozenset({"cpu_load"})))).data
