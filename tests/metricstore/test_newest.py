"""The newest values of all hosts in one answer."""

import json
import time

import pytest

from services.metricstore.catalogue import Catalogue, Part
from services.metricstore.newest import NewestSelection
from services.metricstore.request import QueryRequest
from shared.domain.clusters import read_cluster
from shared.metricdata.cc_metric_store import CcMetricStore
from shared.metricdata.newest import NewestRequest, Value
from shared.metricdata.settings import MetricsSettings
from shared.settings import NatsSettings
from tests.metricstore.site import QUICK, StoreClient, add, cluster_text, running

METRICS = {"cpu_load": (60, "avg"), "mem_bw": (60, "sum"), "temp": (60, ""), "power": (10, "avg"), "silent": (60, "sum")}
CLUSTER = cluster_text("nova", METRICS)


def line(metric: str, host: str, value: float, at: int, part: str = "") -> str:
    kind, _, number = part.partition(" ")
    tags = f",type={kind},type-id={number}" if part else ""
    return f"{metric},cluster=nova,hostname={host}{tags} value={value} {at}"


async def newest(store: StoreClient, now: int, *names: str) -> tuple[dict[str, dict[str, Value]], list[str]]:
    metrics = [metric for metric in read_cluster(CLUSTER).metric_config if metric.name in names]
    async with CcMetricStore(MetricsSettings(kind="cc-metric-store", url=f"http://{store.address}", tries=1)) as source:
        loaded = await source.load_newest(NewestRequest("nova", now, metrics))
    return loaded.by_host(), loaded.problems


async def test_each_host_has_its_newest_value_and_parts_are_combined(nats_settings: NatsSettings) -> None:
    await add(nats_settings, CLUSTER)
    now = int(time.time())
    at = now // 60 * 60 - 60
    async with running(nats_settings) as store:
        await store.write(
            line("cpu_load", "n1", 1.0, at - 60),
            line("cpu_load", "n1", 2.5, at),
            line("cpu_load", "n2", 4.0, at - 120),
            line("cpu_load", "old", 9.0, at - 900),
            line("mem_bw", "n1", 10.0, at, "socket 0"),
            line("mem_bw", "n1", 20.0, at - 60, "socket 1"),  # the newest minute has not arrived
            line("mem_bw", "n2", 5.0, at, "socket 0"),
            line("mem_bw", "n2", 7.0, at - 120, "socket 1"),  # has failed
            line("power", "n1", 100.0, at, "accelerator 0"),
            line("power", "n1", 300.0, at, "accelerator 1"),
            line("temp", "n1", 50.0, at, "core 0"),
            line("temp", "n1", 70.0, at, "core 1"),
        )
        values, problems = await newest(store, now, *METRICS)
        assert values == {
            "n1": {"cpu_load": Value(at, 2.5), "mem_bw": Value(at, 30.0), "power": Value(at, 200.0)},
            "n2": {"cpu_load": Value(at - 120, 4.0), "mem_bw": Value(at, 5.0)},
        }
        assert len(problems) == 1
        assert "temp" in problems[0]
        assert await newest(store, now, "silent") == ({}, [])
        assert await newest(store, now - 86_400, "cpu_load") == ({}, [])
        later, _ = await newest(store, at + 1000, "cpu_load")
        assert later == {}


@pytest.mark.parametrize("start", [0, 10**15])
async def test_a_long_window_reads_no_more_than_the_last_hour(nats_settings: NatsSettings, start: int) -> None:
    await add(nats_settings, CLUSTER)
    at = int(time.time()) // 60 * 60 - 60
    async with running(nats_settings) as store:
        await store.write(line("cpu_load", "n1", 1.0, at), line("cpu_load", "n2", 2.0, at - 2 * 3600))
        request = {"cluster": "nova", "from": start, "to": 10**15, "for-all-nodes": ["cpu_load", "nope"], "newest": True}
        expected = {"hosts": ["n1"], "times": [at], "values": [1.0]} if start == 0 else {"hosts": [], "times": [], "values": []}
        assert await store.query(request) == {"newest": {"cpu_load": expected}, "errors": {}}
        assert await store.query(request | {"cluster": "nope"}) == {"newest": {}, "errors": {}}


async def test_the_samples_read_for_newest_values_are_bounded(nats_settings: NatsSettings) -> None:
    await add(nats_settings, CLUSTER)
    at = int(time.time()) // 60 * 60 - 60
    async with running(nats_settings, QUICK.model_copy(update={"max_samples": 10_000})) as store:
        await store.write(*(line("power", f"n{k}", 1.0, at) for k in range(100)))
        request = {"cluster": "nova", "from": at - 3600, "to": at + 60, "for-all-nodes": ["power"], "newest": True}
        answer = await store.send("GET", "/api/query/", json.dumps(request).encode())
        assert (answer.status, "more than 10000 samples of 100 series" in answer.text) == (400, True)
        found = await store.query(request | {"from": at - 600})
        assert len(found["newest"]["power"]["hosts"]) == 100


def test_kept_series_are_those_that_a_query_would_find() -> None:
    catalogue = Catalogue(max_series=100)
    catalogue.configure({"nova": read_cluster(CLUSTER)})
    selection, request = NewestSelection(catalogue), QueryRequest("nova", 0, 60, all_nodes=["cpu_load", "mem_bw", "nope"])
    cluster = catalogue.clusters["nova"]

    def hosts() -> dict[str, list[str]]:
        return {metric: list(found.hosts) for metric, found in selection.of(request).items()}

    assert hosts() == {}
    load = catalogue.find(cluster, "cpu_load", "n1", Part())
    assert load is not None
    assert hosts() == {"cpu_load": ["n1"]}
    kept = selection.of(request)["cpu_load"]
    assert selection.of(request)["cpu_load"] is kept
    for socket in ("0", "1"):
        catalogue.find(cluster, "mem_bw", "n2", Part("socket", socket))
    assert hosts() == {"cpu_load": ["n1"], "mem_bw": ["n2"]}
    assert selection.of(request)["mem_bw"].has_parts
    catalogue.remove(load)
    assert hosts() == {"mem_bw": ["n2"]}
    catalogue.configure({"nova": read_cluster(cluster_text("nova", METRICS | {"mem_bw": (60, "avg")}))})
    assert selection.of(request)["mem_bw"].metric.aggregation == "avg"
    catalogue.configure({})
    assert hosts() == {}
