"""Metric data of whole hosts from the metric store."""

import math
from typing import Any

import numpy as np
import pytest

from shared.domain.clusters import Metric
from shared.metricdata.cc_metric_store import CcMetricStore
from shared.metricdata.hosts import HostsLoaded, HostsRequest
from shared.metricdata.settings import MetricsSettings
from shared.metricdata.source import SourceRefused, SourceUnavailable
from tests.archiver.feed import T0, recorded_store
from tests.support.clusters import sample_clusters
from tests.support.metric_store import MetricStore, serving

FRITZ = sample_clusters()["fritz"]


def metrics(*names: str) -> list[Metric]:
    return [metric for metric in FRITZ.metric_config if metric.name in names]


async def loaded(store: MetricStore, *names: str, hosts: list[str] | None = None, minutes: int = 3, **settings: Any) -> HostsLoaded:
    request = HostsRequest("fritz", T0, T0 + 60 * minutes, metrics(*names), hosts)
    async with serving(store) as url, CcMetricStore(MetricsSettings(kind="cc-metric-store", url=url, tries=1, **settings)) as source:
        return await source.load_hosts(request)


async def test_all_hosts_with_everything_below_them_combined() -> None:
    found = await loaded(recorded_store(), "cpu_load", "mem_bw")
    assert {"f0101", "f0102", "f0105", "f0106", "f0107"} <= set(found.series)
    bandwidth = found.series["f0101"]["mem_bw"]
    assert (bandwidth.timestep, len(bandwidth.data)) == (60, 3)
    parts = [recorded_store().clusters["fritz"]["f0101"].children[f"socket{n}"].metrics["mem_bw"].samples[0] for n in range(2)]
    assert bandwidth.data[0] == sum(parts)
    assert bandwidth.statistics is not None
    assert "mem_bw" not in found.series["f0105"]


async def test_named_hosts_in_small_requests_each_from_the_start_of_the_window() -> None:
    store = recorded_store()
    found = await loaded(store, "cpu_load", "mem_used", hosts=["f0101", "f0103", "nope"], minutes=30, queries=1)
    assert store.requests == 6
    assert set(found.series) == {"f0101", "f0103"}
    late = found.series["f0103"]["cpu_load"].data  # its first sample is number 25
    assert (len(late), bool(np.isnan(late[:25]).all()), math.isnan(late[25])) == (30, True, False)


async def test_a_host_without_samples_in_the_window_is_still_known() -> None:
    found = await loaded(recorded_store(), "cpu_load", hosts=["f0103"])
    assert found.series["f0103"]["cpu_load"].data.size == 0
    assert found.series["f0103"]["cpu_load"].statistics is None


async def test_a_value_that_cannot_be_encoded_does_not_affect_other_hosts() -> None:
    store = recorded_store()
    store.add("fritz", "f0199", "socket0", "mem_bw", T0, {0: 1.7e308})
    store.add("fritz", "f0199", "socket1", "mem_bw", T0, {0: 1.7e308})
    found = await loaded(store, "mem_bw")
    assert "mem_bw" in found.series["f0101"]
    assert any("f0199" in problem for problem in found.problems)


async def test_errors_are_problems_of_their_metric() -> None:
    store = recorded_store()
    del store.metrics["mem_bw"]
    found = await loaded(store, "cpu_load", "mem_bw", hosts=["f0101"])
    assert set(found.series["f0101"]) == {"cpu_load"}
    assert "unknown metric" in found.problems[0]


async def test_an_invalid_answer_is_unavailable_and_a_window_above_the_limit_refused() -> None:
    from aiohttp import web

    async def garbage(_: Any) -> web.StreamResponse:
        return web.Response(text='{"results": [[{}], 7]}')

    store = recorded_store()
    with pytest.raises(SourceRefused, match="max_window_days"):
        await loaded(store, "cpu_load", max_window_days=0.001)
    store.mood = garbage
    for hosts in (None, ["f0101", "f0102"]):
        with pytest.raises(SourceUnavailable, match="invalid"):
            await loaded(store, "cpu_load", hosts=hosts)
