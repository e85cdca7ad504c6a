"""One test for all adapters of the port: the same samples in each store give the same data."""

import math
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp import web

from shared.domain.payloads import Resource
from shared.metricdata import JobRequest, MetricSource, MetricsSettings, SourceRefused, SourceUnavailable, open_source
from shared.metricdata.hosts import HostsRequest
from shared.metricdata.newest import NewestRequest
from tests.support import influxdb as influx
from tests.support.clusters import sample_clusters
from tests.support.flux_server import FluxServer, Point, flux_server
from tests.support.metric_store import MetricStore, serving
from tests.support.processes import REPOSITORY
from tests.support.prometheus import prometheus
from tests.support.waiting import until

CLUSTERS = sample_clusters()
KINDS = ["cc-metric-store", "prometheus", "influxdb", "influxdb2"]
NOW = int(time.time()) // 60 * 60
T0 = NOW - 3600
GPUS = ["00000000:0E:00.0", "00000000:13:00.0"]
QUERIES = {name: f'{name}{{instance=~"{{{{hosts}}}}"}}' for name in ("cpu_load", "mem_used", "flops_any", "mem_bw", "acc_utilization")}
LABELS = {"hwthread": "cpu", "socket": "package", "accelerator": "gpu"}


def _points() -> Iterator[Point]:
    for host, base in (("f0101", 10.0), ("f0102", 20.0), ("f0103", 30.0)):
        for slot in range(10):
            if (host, slot) != ("f0102", 4):
                yield Point("cpu_load", host, "node", "", T0 + 60 * slot, base + slot)
        for socket in range(2):
            for slot in range(10):
                yield Point("mem_bw", host, "socket", str(socket), T0 + 60 * slot, base + 100 * socket + slot)
        for thread in range(4):
            for slot in range(10):
                yield Point("flops_any", host, "hwthread", str(thread), T0 + 60 * slot, base + thread)
    for number, gpu in enumerate(GPUS):
        for slot in range(10):
            yield Point("acc_utilization", "a0601", "accelerator", gpu, T0 + 60 * slot, 40.0 + 20 * number)
    for time_s in range(NOW, NOW + 2 * 3600, 30):  # recent, even if the test runs long after its collection
        yield Point("cpu_load", "f0101", "node", "", time_s, 1.0)
        yield Point("mem_used", "f0101", "node", "", time_s, 2.0)
        yield Point("cpu_load", "f0103", "node", "", time_s, 3.0)


POINTS = list(_points())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The address of a real server by kind, started when it is first needed."""
    with ExitStack() as stack:
        started: dict[str, str] = {}

        def address(kind: str) -> str:
            if kind not in started:
                folder = tmp_path_factory.mktemp(kind)
                if kind == "prometheus":
                    started[kind] = stack.enter_context(prometheus(folder, _exposed()))
                else:
                    started[kind] = stack.enter_context(influx.influxdb(folder, "site"))
                    influx.write(started[kind], "site", [_line(point) for point in POINTS])
            return started[kind]

        yield address


def _exposed() -> dict[str, list[tuple[float, float]]]:
    series: dict[str, list[tuple[float, float]]] = {}
    for point in POINTS:
        label = f',{LABELS[point.type]}="{point.id}"' if point.type in LABELS else ""
        series.setdefault(f'{point.metric}{{instance="{point.host}:9100"{label}}}', []).append((point.time, point.value))
    return series


def _line(point: Point) -> str:
    element = f",type-id={point.id}" if point.id else ""
    return f"{point.metric},hostname={point.host},type={point.type}{element} value={point.value} {point.time}"


def _settings(kind: str, url: str, **changes: Any) -> MetricsSettings:
    common: dict[str, Any] = {"kind": kind, "url": url, "clusters": ["fritz", "alex"]}
    store: dict[str, Any] = {
        "prometheus": common | {"queries": QUERIES, "host_suffix": ":9100", "scope_labels": LABELS},
        "influxdb": common | {"database": "site"},
        "influxdb2": common | {"database": "site", "org": "site", "token": "secret"},
    }[kind]
    return MetricsSettings(stores=[store | changes], tries=1, timeout_s=5)


@pytest.fixture(params=KINDS)
async def source(request: pytest.FixtureRequest, servers: Callable[[str], str]) -> AsyncIterator[MetricSource]:
    kind = request.param
    async with AsyncExitStack() as stack:
        if kind == "cc-metric-store":
            steps = {"cpu_load": (60, "avg"), "mem_used": (60, "sum"), "flops_any": (60, "sum"), "mem_bw": (60, "sum")}
            store = MetricStore({**steps, "acc_utilization": (60, "avg")}, now=NOW)
            for cluster, prefix in (("fritz", "f"), ("alex", "a")):
                store.write("\n".join(_line(point) for point in POINTS if point.host.startswith(prefix)), cluster)
            url = await stack.enter_async_context(serving(store))
            settings = MetricsSettings(kind="cc-metric-store", url=url, tries=1)
        elif kind == "influxdb2":
            server = FluxServer("site", POINTS)
            settings = _settings(kind, await stack.enter_async_context(flux_server(server)))
            stack.callback(lambda: _nothing(server.unexpected))
        else:
            settings = _settings(kind, servers(kind))
        opened = await stack.enter_async_context(open_source(settings))
        assert opened is not None
        yield opened


async def _is_ready(source: MetricSource) -> bool:
    try:
        await source.check(source.stores()[0])
    except SourceUnavailable:
        return False
    return True


def _nothing(unexpected: list[str]) -> None:
    assert unexpected == []


def wanted(metric: str, *hosts: str, cluster: str = "fritz", subcluster: str = "main", **changes: Any) -> JobRequest:
    fields: dict[str, Any] = {"num_acc": 0, "resources": [Resource(hostname=host) for host in hosts]} | changes
    return JobRequest(cluster=CLUSTERS[cluster], subcluster=subcluster, start=T0, duration=600, metrics=frozenset({metric}), **fields)


async def test_node_series_with_a_gap(source: MetricSource) -> None:
    loaded = await source.load(wanted("cpu_load", "f0101", "f0102", "f9999"))
    first, second = loaded.data["cpu_load"]["node"].series
    assert (first.hostname, list(first.data[:10])) == ("f0101", [10.0 + slot for slot in range(10)])
    assert (first.statistics.avg, first.statistics.min, first.statistics.max) == (14.5, 10.0, 19.0)
    assert math.isnan(second.data[4])
    assert [second.data[3], second.data[5]] == [23.0, 25.0]
    assert loaded.problems == []


async def test_elements_below_the_node(source: MetricSource) -> None:
    used = [Resource(hostname="f0101", hwthreads=[0, 1])]
    loaded = await source.load(wanted("flops_any", resources=used, scopes=frozenset({"node", "hwthread"})))
    threads = loaded.data["flops_any"]["hwthread"].series
    assert [(series.id, series.data[0]) for series in threads] == [("0", 10.0), ("1", 11.0)]
    (node,) = loaded.data["flops_any"]["node"].series
    assert list(node.data[:10]) == [21.0] * 10  # without the threads of other jobs


async def test_sockets_are_combined_to_the_node(source: MetricSource) -> None:
    (node,) = (await source.load(wanted("mem_bw", "f0102"))).data["mem_bw"]["node"].series
    assert list(node.data[:10]) == [140.0 + 2 * slot for slot in range(10)]


async def test_accelerators(source: MetricSource) -> None:
    used = [Resource(hostname="a0601", accelerators=GPUS)]
    request = wanted(
        "acc_utilization", cluster="alex", subcluster="a100", resources=used, num_acc=2, scopes=frozenset({"node", "accelerator"})
    )
    loaded = await source.load(request)
    assert [(series.id, series.data[0]) for series in loaded.data["acc_utilization"]["accelerator"].series] == [
        (GPUS[0], 40.0),
        (GPUS[1], 60.0),
    ]
    assert loaded.data["acc_utilization"]["node"].series[0].data[0] == 50.0


@pytest.mark.parametrize("metric", ["cpu_load", "mem_bw"])
async def test_statistics_without_samples_are_those_of_the_samples(source: MetricSource, metric: str) -> None:
    with_samples = await source.load(wanted(metric, "f0101", "f0102"))
    without = await source.load(wanted(metric, "f0101", "f0102", with_samples=False))
    for full, short in zip(with_samples.data[metric]["node"].series, without.data[metric]["node"].series, strict=True):
        assert (short.statistics.avg, short.statistics.min, short.statistics.max) == pytest.approx(
            (full.statistics.avg, full.statistics.min, full.statistics.max), abs=0.01
        )


@pytest.mark.parametrize("hosts", [["f0101", "f0103"], None])
async def test_whole_hosts(source: MetricSource, hosts: list[str] | None) -> None:
    metrics = [metric for metric in CLUSTERS["fritz"].metric_config if metric.name in ("cpu_load", "mem_bw")]
    loaded = await source.load_hosts(HostsRequest("fritz", T0, T0 + 600, metrics, hosts))
    assert {"f0101", "f0103"} <= set(loaded.series)
    assert ("f0102" in loaded.series) is (hosts is None)
    assert list(loaded.series["f0103"]["cpu_load"].data[:10]) == [30.0 + slot for slot in range(10)]
    assert list(loaded.series["f0101"]["mem_bw"].data[:10]) == [120.0 + 2 * slot for slot in range(10)]


async def test_the_newest_value_of_each_host(source: MetricSource) -> None:
    metrics = [metric for metric in CLUSTERS["fritz"].metric_config if metric.name in ("cpu_load", "mem_bw", "flops_any")]
    loaded = await source.load_newest(NewestRequest("fritz", T0 + 550, metrics))
    assert loaded.problems == []
    values = {host: {name: one.value for name, one in found.items()} for host, found in loaded.by_host().items() if host.startswith("f")}
    assert values == {
        "f0101": {"cpu_load": 19.0, "mem_bw": 138.0, "flops_any": 46.0},
        "f0102": {"cpu_load": 29.0, "mem_bw": 158.0, "flops_any": 86.0},
        "f0103": {"cpu_load": 39.0, "mem_bw": 178.0, "flops_any": 126.0},
    }
    times = {one.time for host, found in loaded.by_host().items() for one in found.values()}
    assert all(abs(time_s - (T0 + 540)) <= 30 for time_s in times)


async def test_values_that_are_old_or_in_the_future_are_not_the_newest(source: MetricSource) -> None:
    metrics = [metric for metric in CLUSTERS["fritz"].metric_config if metric.name == "mem_bw"]
    assert (await source.load_newest(NewestRequest("fritz", T0 + 540 + 400, metrics))).by_host() == {}
    assert (await source.load_newest(NewestRequest("fritz", T0 - 120, metrics))).by_host() == {}


async def test_a_job_or_window_that_is_too_long_is_refused(source: MetricSource) -> None:
    with pytest.raises(SourceRefused):
        await source.load_hosts(HostsRequest("fritz", 0, T0, [], ["f0101"]))


async def test_a_store_is_checked_and_named(source: MetricSource) -> None:
    (store,) = source.stores()
    assert source.store_of("fritz") == store
    await source.check(store)


@pytest.mark.parametrize("kind", KINDS[1:])
class TestOtherServers:
    @pytest.fixture
    async def adapter(self, kind: str, servers: Callable[[str], str]) -> AsyncIterator[MetricSource]:
        async with AsyncExitStack() as stack:
            server = FluxServer("site", POINTS)
            url = await stack.enter_async_context(flux_server(server)) if kind == "influxdb2" else servers(kind)
            opened = await stack.enter_async_context(open_source(_settings(kind, url)))
            assert opened is not None
            yield opened

    async def test_health_by_recent_samples(self, adapter: MetricSource) -> None:
        found = await adapter.health("fritz", ["f0101", "f0102", "f0103"], ["cpu_load", "mem_used"])
        assert {host: (one.state, one.missing) for host, one in found.items()} == {
            "f0101": ("full", ()),
            "f0102": ("failed", ("cpu_load", "mem_used")),
            "f0103": ("partial", ("mem_used",)),
        }

    async def test_a_host_name_that_would_change_the_query_affects_no_other_host(self, adapter: MetricSource) -> None:
        loaded = await adapter.load(wanted("cpu_load", 'f0101"} or up{a=~".*', "f0101"))
        assert [series.hostname for series in loaded.data["cpu_load"]["node"].series] == ["f0101"]
        assert len(loaded.problems) == 1

    async def test_a_dot_in_a_host_name_is_not_a_wildcard(self, adapter: MetricSource) -> None:
        assert (await adapter.load(wanted("cpu_load", "f.101"))).data == {}

    async def test_a_cluster_without_a_store(self, adapter: MetricSource) -> None:
        assert adapter.store_of("emmy") == ""


async def test_a_query_that_prometheus_refuses_is_a_problem_of_its_metric(servers: Callable[[str], str]) -> None:
    queries = QUERIES | {"mem_used": 'sum(mem_used{instance=~"{{hosts}}"}'}
    request = JobRequest(
        cluster=CLUSTERS["fritz"], subcluster="main", start=T0, duration=600, resources=[Resource(hostname="f0101")], num_acc=0
    )
    async with open_source(_settings("prometheus", servers("prometheus"), queries=queries)) as source:
        assert source is not None
        loaded = await source.load(request)
    assert {"cpu_load", "flops_any", "mem_bw"} <= set(loaded.data)
    assert [problem.partition(":")[0] for problem in loaded.problems] == ["mem_used"]


async def test_series_that_differ_in_other_labels_are_not_mixed(servers: Callable[[str], str]) -> None:
    async with open_source(_settings("prometheus", servers("prometheus"), scope_labels={})) as source:
        assert source is not None
        loaded = await source.load(
            JobRequest(
                cluster=CLUSTERS["fritz"],
                subcluster="main",
                start=T0,
                duration=600,
                resources=[Resource(hostname="f0101")],
                num_acc=0,
                metrics=frozenset({"cpu_load", "flops_any"}),
            )
        )
    assert set(loaded.data) == {"cpu_load"}
    assert "more than one series of f0101" in loaded.problems[0]


async def test_a_range_of_more_points_than_prometheus_answers_is_read_in_parts(servers: Callable[[str], str]) -> None:
    start = T0 - 60 * 11_500
    request = JobRequest(
        cluster=CLUSTERS["fritz"],
        subcluster="main",
        start=start,
        duration=T0 + 600 - start,
        resources=[Resource(hostname="f0101")],
        num_acc=0,
        metrics=frozenset({"cpu_load"}),
    )
    async with open_source(_settings("prometheus", servers("prometheus"))) as source:
        assert source is not None
        (series,) = (await source.load(request)).data["cpu_load"]["node"].series
    assert series.data.size == 11_510
    assert list(series.data[-10:]) == [10.0 + slot for slot in range(10)]


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_a_server_that_is_down_or_sends_invalid_answers_is_unavailable(kind: str) -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(text='"nonsense\x00"', content_type="application/json")

    async with open_source(_settings(kind, "http://127.0.0.1:9")) as source:
        assert source is not None
        with pytest.raises(SourceUnavailable):
            await source.load(wanted("cpu_load", "f0101"))
        with pytest.raises(SourceUnavailable):
            await source.check(source.stores()[0])
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", nonsense)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with open_source(_settings(kind, f"http://127.0.0.1:{runner.addresses[0][1]}")) as source:
            assert source is not None
            with pytest.raises(SourceUnavailable):
                await source.load(wanted("cpu_load", "f0101"))
    finally:
        await runner.cleanup()


async def test_prometheus_behind_a_password(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    with prometheus(tmp_path, _exposed(), web=f"basic_auth_users:\n  jobtide: {hashed}\n") as url:
        async with open_source(_settings("prometheus", url, user="jobtide", password="right")) as source:
            assert source is not None
            await until(lambda: _is_ready(source), 30)  # the server asks for the password before it is ready
        async with open_source(_settings("prometheus", url, user="jobtide", password="wrong")) as source:
            assert source is not None
            with pytest.raises(SourceUnavailable, match="rejects the credentials"):
                await source.check(source.stores()[0])


async def test_clusters_of_one_site_in_different_stores(servers: Callable[[str], str]) -> None:
    stores = [
        {"kind": "prometheus", "url": servers("prometheus"), "clusters": ["fritz"], "queries": QUERIES, "host_suffix": ":9100"},
        {"kind": "influxdb", "url": servers("influxdb"), "clusters": ["alex"], "database": "site"},
    ]
    async with open_source(MetricsSettings(stores=stores, tries=1)) as source:
        assert source is not None
        assert source.stores() == [servers("prometheus"), f"{servers('influxdb')}/site"]
        for store in source.stores():
            await source.check(store)
        assert (await source.load(wanted("cpu_load", "f0101"))).data
        used = [Resource(hostname="a0601", accelerators=GPUS)]
        alex = wanted("acc_utilization", cluster="alex", subcluster="a100", resources=used, num_acc=2)
        assert (await source.load(alex)).data


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ({"kind": "prometheus", "url": "http://p", "clusters": ["a"], "queries": {"load": "load"}}, "does not contain {{hosts}}"),
        ({"kind": "influxdb2", "url": "http://p", "clusters": ["a"], "database": "b"}, "version 2 needs an organisation"),
        ({"kind": "influxdb", "url": "p", "clusters": ["a"], "database": "b"}, "url"),
        ({"kind": "graphite", "url": "http://p", "clusters": ["a"]}, "kind"),
        ({"kind": "influxdb", "url": "http://p", "clusters": ["a"], "database": "b", "user": "u", "token": "t"}, "one of them"),
    ],
)
def test_settings_that_cannot_work_are_refused(store: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        MetricsSettings(stores=[store])


def test_a_cluster_in_two_stores_is_refused() -> None:
    store = {"kind": "influxdb", "url": "http://p", "clusters": ["a"], "database": "b"}
    with pytest.raises(ValueError, match="cluster a has two stores"):
        MetricsSettings(stores=[store, store | {"database": "c"}])


def test_the_example_in_the_docs_is_valid() -> None:
    text = (REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")
    (example,) = [part.split("```")[0] for part in text.split("```toml\n") if part.startswith("[[metrics.stores]]")]
    settings = MetricsSettings(**tomllib.loads(example)["metrics"])
    assert [(store.kind, store.clusters) for store in settings.stores] == [("prometheus", ("fritz",)), ("influxdb2", ("alex",))]
