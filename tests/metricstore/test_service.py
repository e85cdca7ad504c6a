"""The metric store as a service: from a collector's messages to answers."""

import asyncio
import json
import shutil
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.metricstore import api
from services.metricstore.api import MAX_MESSAGE_BYTES
from services.metricstore.query import Selection, answer
from services.metricstore.settings import MetricStoreSettings
from shared.broker.streams import METRICS, covers
from shared.domain.clusters import read_cluster
from shared.metricdata import MetricsSettings, open_source
from shared.metricdata.hosts import HostsRequest
from shared.metricdata.store_state import ClusterSamples, StoreState, store_states
from shared.settings import NatsSettings
from tests.metricstore.site import NOVA, QUICK, StoreClient, add, cluster_text, now, read_to_the_end, running
from tests.support.metric_store import MetricStore, serving
from tests.support.nats import NatsServer, client_of, provision_blocking, publish, unique_settings
from tests.support.processes import ServiceRunner
from tests.support.waiting import until

COLLECTOR = Path(__file__).parents[1] / "data" / "collector" / "messages.jsonl"


def minute() -> int:
    return now() // 60 * 60


async def test_messages_of_a_real_collector_become_series(nats_settings: NatsSettings) -> None:
    messages = [json.loads(line)["data"] for line in COLLECTOR.read_text(encoding="utf-8").splitlines()]
    names = {line.partition(",")[0] for message in messages for line in message.splitlines()}
    known = {name for name in names if name.startswith(("mem_", "cpu_"))}
    await add(nats_settings, cluster_text("fritz", dict.fromkeys(known, (10, "sum"))))
    shift = now() - 1_796_011_931
    shifted = ["\n".join(_shifted(line, shift) for line in message.splitlines()) for message in messages]
    async with running(nats_settings) as store:
        await publish(nats_settings, *(message.encode() for message in shifted), subject=nats_settings.metric_subjects[0])
        await read_to_the_end(nats_settings, store)
        numbers = await store.numbers()
        lines = [line for message in shifted for line in message.splitlines()]
        stored = [line for line in lines if line.partition(",")[0] in known]
        assert numbers["jobtide_metricstore_samples_total"] == len(stored)
        assert numbers['jobtide_metricstore_refused_total{reason="unknown_metric"}'] == len(lines) - len(stored)
        values = await store.values("fritz", "f0101", "mem_used", now() - 300, now() + 300)
        expected = [float(line.split("value=")[1].split()[0]) for line in stored if line.startswith("mem_used,")]
        assert [value for value in values if value is not None] == pytest.approx(expected, rel=1e-6)


async def test_the_metrics_have_the_position_and_size_of_the_store(nova: NatsSettings) -> None:
    at = minute()
    lines = [f"cpu_load,cluster=nova,hostname=n1 value=1 {at}", f"cpu_load,cluster=nova,hostname=n1 value=1 {at - 3600}"]
    async with running(nova) as store:
        await store.write(*lines, f"other,cluster=nova,hostname=n1 value=1 {at}")
        await read_to_the_end(nova, store)
        state = StoreState.model_validate_json((await store.send("GET", "/api/status/")).text)
    assert (state.stream, state.lag, state.samples, state.refused) == (nova.stream("METRICS"), 0, 2, {"unknown_metric": 1})
    assert (state.expired, state.series, state.files) == (0, 1, 0)
    assert state.clusters["nova"] == ClusterSamples(oldest=(at - 3600) // 3600 * 3600, newest=at)


async def test_of_other_stores_and_stores_that_are_away_only_the_address_is_known() -> None:
    async with serving(MetricStore({})) as url:
        assert await store_states(MetricsSettings(kind="cc-metric-store", url=url), timeout_s=5) == []
    (answer,) = await store_states(MetricsSettings(kind="cc-metric-store", url=url), timeout_s=5)
    assert (answer.address, answer.state) == (url, None)
    assert answer.error


def _shifted(line: str, shift: int) -> str:
    head, _, time = line.rpartition(" ")
    return f"{head} {int(time) + shift}"


async def test_a_restart_reads_the_stream_again(nova: NatsSettings, service: ServiceRunner) -> None:
    at = minute()
    process = await service.start("metricstore", nova)
    await publish(
        nova, *(f"cpu_load,cluster=nova,hostname=n1 value={k} {at - 10 * k}".encode() for k in range(6)), subject=nova.metric_subjects[0]
    )
    process.kill9()
    async with running(nova) as store:
        await read_to_the_end(nova, store)
        assert await store.values("nova", "n1", "cpu_load", at - 50, at + 10) == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("messages", [(3, 2, 1), (1, 2, 3)], ids=["it is shorter", "it has grown beyond the position again"])
async def test_a_stream_that_lost_its_end_is_read_from_its_beginning(
    private_nats: NatsServer, tmp_path: Path, messages: tuple[int, ...]
) -> None:
    """Its next messages have sequences of messages that are in files. The end is lost for the second time in the second round."""
    nats, at = unique_settings(private_nats.url), minute()
    provision_blocking(nats)
    await add(nats, cluster_text("nova", NOVA))
    settings = QUICK.model_copy(update={"path": tmp_path / "samples", "save_s": 1.0})
    private_nats.kill()
    shutil.copytree(private_nats.store, tmp_path / "backup")
    private_nats.start()

    def are_written_after(losses: int) -> bool:
        """Whether all files were written after the stream had lost its end this often."""
        with suppress(FileNotFoundError, pa.ArrowInvalid):  # a file is being replaced, or written under a hidden name
            files = [pq.read_schema(path).metadata for path in settings.path.glob("nova/*.parquet")]
            return {file[b"stream"].decode().partition(" ")[2] for file in files} == {str(losses or "")}
        return False

    for lost, count in enumerate(messages):
        lines = [f"cpu_load,cluster=nova,hostname=n{lost} value={k} {at}".encode() for k in range(count)]
        await publish(nats, *lines, subject=nats.metric_subjects[0])
        async with running(nats, settings) as store:

            async def has_all(store: StoreClient = store, lost: int = lost) -> bool:
                found = [await store.values("nova", f"n{k}", "cpu_load", at, at + 10) for k in range(lost + 1)]
                return found == [[last - 1] for last in messages[: lost + 1]]

            await until(has_all, 30)
            await until(partial(are_written_after, lost), 30)
        private_nats.kill()
        shutil.rmtree(private_nats.store)
        shutil.copytree(tmp_path / "backup", private_nats.store)
        private_nats.start()


async def test_a_new_cluster_is_used_without_a_restart(nova: NatsSettings) -> None:
    at = minute()
    async with running(nova) as store:
        await add(nova, cluster_text("luna", {"cpu_load": (60, "avg")}))

        async def is_stored() -> bool:
            await store.write(f"cpu_load,cluster=luna,hostname=l1 value=3 {at}")
            return await store.values("luna", "l1", "cpu_load", at, at + 60) == [3]

        await until(is_stored)


async def test_clusters_are_divided_between_two_services(nats_settings: NatsSettings) -> None:
    """Lines reach their service by subject, by tags, and over HTTP; a reader finds each cluster at its address."""
    named = f"{nats_settings.prefix}.named.{{cluster}}"
    nats = nats_settings.model_copy(update={"metric_subjects": [*nats_settings.metric_subjects, named]})
    provision_blocking(nats)
    clusters = {name: read_cluster(cluster_text(name, NOVA)) for name in ("nova", "luna")}
    await add(nats, *(cluster_text(name, NOVA) for name in clusters))
    at = minute()
    async with (
        running(nats, QUICK.model_copy(update={"clusters": ["nova"]})) as of_nova,
        running(nats, QUICK.model_copy(update={"clusters": ["luna"]})) as of_luna,
    ):
        for name in clusters:
            await publish(nats, f"cpu_load,hostname={name}1 value=1 {at}".encode(), subject=named.replace("{cluster}", name))
        both = [f"cpu_load,cluster={name},hostname={name}1 value=2 {at + 10}" for name in clusters]
        await publish(nats, "\n".join(both).encode(), subject=nats.metric_subjects[0])
        assert (await of_nova.write(*(f"cpu_load,cluster={name},hostname={name}1 value=3 {at + 20}" for name in clusters))).status == 200
        for store, other in ((of_nova, "luna"), (of_luna, "nova")):
            await read_to_the_end(nats, store)
            numbers = await store.numbers()
            assert numbers["jobtide_metricstore_samples_total"] == 3
            assert not any(value for name, value in numbers.items() if "refused" in name)
            assert await store.values(other, f"{other}1", "cpu_load", at, at + 30) == []
        urls = {"nova": f"http://{of_nova.address}", "luna": f"http://{of_luna.address}"}
        async with open_source(MetricsSettings(kind="cc-metric-store", cluster_urls=urls)) as source:
            assert source is not None
            for name, cluster in clusters.items():
                loaded = await source.load_hosts(HostsRequest(name, at, at + 30, cluster.metric_config, [f"{name}1"]))
                assert loaded.series[f"{name}1"]["cpu_load"].data.tolist() == [1, 2, 3]


async def test_new_samples_of_a_changed_timestep_are_on_its_grid(nova: NatsSettings) -> None:
    at = minute()
    async with running(nova) as store:
        await store.write(f"cpu_load,cluster=nova,hostname=n1 value=3 {at}")
        await add(nova, cluster_text("nova", NOVA | {"cpu_load": (60, "avg")}))

        async def is_stored() -> bool:
            await store.write(f"cpu_load,cluster=nova,hostname=n1 value=4 {at}")
            found = await store.query({"cluster": "nova", "from": at, "to": at + 60, "queries": [{"metric": "cpu_load", "host": "n1"}]})
            return bool(found["results"][0]) and found["results"][0][0]["resolution"] == 60

        await until(is_stored)
        assert await store.values("nova", "n1", "cpu_load", at, at + 60) == [4]


async def test_samples_of_the_future_and_from_before_the_memory_are_refused_and_block_nothing(nova: NatsSettings) -> None:
    at = minute()
    async with running(nova, QUICK.model_copy(update={"retention_days": 0.05})) as store:
        lines = [f"cpu_load,cluster=nova,hostname=n1 value={k} {time}" for k, time in enumerate((at + 86_400, at - 7200, at))]
        assert (await store.write(*lines)).status == 200
        numbers = await store.numbers()
        assert await store.values("nova", "n1", "cpu_load", at, at + 60) == [2]
    assert numbers['jobtide_metricstore_refused_total{reason="too_early"}'] == 1
    assert numbers['jobtide_metricstore_refused_total{reason="too_late"}'] == 1


async def test_freed_samples_stay_freed_when_the_stream_is_read_again(nova: NatsSettings) -> None:
    at = minute()
    async with running(nova) as store:
        await store.write(*(f"cpu_load,cluster=nova,hostname={host} value=1 {at - 10 * k}" for host in ("n1", "n2") for k in range(3)))
        answer = await store.send("POST", "/api/free", b'[["nova","n1"]]', query=f"to={at - 5}")
        assert answer.text == "buffers freed: 1\n"
    async with running(nova) as store:
        await read_to_the_end(nova, store)
        assert await store.values("nova", "n1", "cpu_load", at - 100, at + 10) == [1]
        assert await store.values("nova", "n2", "cpu_load", at - 100, at + 10) == [1, 1, 1]


async def test_an_answer_is_bounded(nova: NatsSettings) -> None:
    async with running(nova, QUICK.model_copy(update={"max_samples": 10_000})) as store:
        at = minute()
        await store.write(f"cpu_load,cluster=nova,hostname=n1 value=1 {at - 300_000}", f"cpu_load,cluster=nova,hostname=n1 value=1 {at}")
        question = {"cluster": "nova", "from": at - 300_000, "to": at, "queries": [{"metric": "cpu_load", "host": "n1"}]}
        answer = await store.send("GET", "/api/query", json.dumps(question).encode())
        assert (answer.status, "too many samples" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("limit", "value", "text"),
    [("QUERY_BEGINS_WITHIN_S", 0.2, "could not begin within 0.2 s"), ("MAX_WAITING_QUERIES", 0, "0 queries are waiting already")],
)
async def test_a_query_that_cannot_begin_is_503(
    nova: NatsSettings, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, text: str
) -> None:
    monkeypatch.setattr(api, "QUERIES_AT_ONCE", 0)
    monkeypatch.setattr(api, limit, value)
    async with running(nova) as store:
        answer = await store.send("GET", "/api/query", b'{"cluster": "nova"}')
        assert (answer.status, text in answer.text) == (503, True)


async def test_a_query_whose_client_has_left_is_not_answered(nova: NatsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, begun = threading.Event(), threading.Event()
    real = answer

    def held(selection: Selection, max_samples: int) -> bytes:
        begun.set()
        may_go_on.wait(20)
        return real(selection, max_samples)

    monkeypatch.setattr(api, "QUERIES_AT_ONCE", 1)
    monkeypatch.setattr(api, "answer", held)
    body = b'{"cluster": "nova"}'
    async with running(nova) as store, asyncio.TaskGroup() as group:
        first = group.create_task(store.send("GET", "/api/query", body))
        await until(begun.is_set)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as impatient:
            with pytest.raises(TimeoutError):
                await StoreClient(store.address, store.health, impatient).send("GET", "/api/query", body)
        may_go_on.set()
        assert (await first).status == 200
        assert (await store.send("GET", "/api/query", body)).status == 200
        assert (await store.numbers())["jobtide_metricstore_query_seconds_count"] == 2


async def test_lines_over_http_go_to_the_broker_in_pieces(nova: NatsSettings) -> None:
    at = minute()
    lines = [f"cpu_load,cluster=nova,hostname=h{n:05},padding={'x' * 100} value={n} {at}" for n in range(10_000)]
    async with running(nova) as store:
        assert (await store.write(*lines)).status == 200
        await read_to_the_end(nova, store)
        assert (await store.numbers())["jobtide_metricstore_series"] == len(lines)
        assert await store.values("nova", "h09999", "cpu_load", at, at + 10) == [9999]


async def test_a_mistake_in_a_large_body_is_named_with_its_line(nova: NatsSettings) -> None:
    at = minute()
    lines = [f"cpu_load,cluster=nova,hostname=h{n % 10},padding={'x' * 100} value={n} {at}" for n in range(10_000)]
    lines[5000] = "x" * (MAX_MESSAGE_BYTES + 1)
    async with running(nova) as store:
        answer = await store.write(*lines)
        assert (answer.status, "line 5001: longer than" in answer.text) == (400, True)
        lines[5000], lines[9000] = "", "cpu_load,cluster=nova,hostname=h1 value=much"
        answer = await store.write(*lines)
        assert (answer.status, "line 9001: 'much' is not a number" in answer.text) == (400, True)
        assert await store.values("nova", "h9", "cpu_load", at, at + 10) == [9999]


async def test_a_write_without_a_broker_is_503(private_site: NatsSettings, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("private_nats")
    async with running(private_site) as store:
        server.kill()
        answer = await store.write("cpu_load,cluster=fritz,hostname=f0101 value=1")
        assert answer.status == 503
        server.restart()
        assert (await store.write("cpu_load,cluster=fritz,hostname=f0101 value=1")).status == 200


async def test_a_broker_without_room_for_its_share_of_metrics_is_refused(nats_settings: NatsSettings) -> None:
    """The stream of metrics is bounded, and retains the newest messages."""
    small = nats_settings.model_copy(update={"metrics_max_gib": 0.0005})
    provision_blocking(small)
    for _ in range(20):
        await publish(small, b"x" * 100_000, subject=small.metric_subjects[0])
    async with client_of(small) as client:
        state = (await client.jetstream().stream_info(small.stream(METRICS))).state
    assert state.bytes <= 0.0005 * 1024**3
    assert state.last_seq == 20


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("cc.metric", "cc.metric", True),
        ("cc.metric", "cc.metric.x", False),
        ("*.metrics", "nova.metrics", True),
        ("*.metrics", "nova.x.metrics", False),
        ("nova.>", "nova.x.metrics", True),
        ("nova.>", "nova", False),
    ],
)
def test_a_subject_filter_covers_subjects(pattern: str, subject: str, *, matches: bool) -> None:
    assert covers(pattern, subject) == matches


def test_a_public_key_must_be_one() -> None:
    with pytest.raises(ValueError, match="a public key has 32 bytes, not 3"):
        MetricStoreSettings(jwt_public_key="AAAA")
