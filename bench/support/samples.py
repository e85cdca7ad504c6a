"""A metric store of its own process over a broker, its load, and its clients."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import orjson
import psutil

from bench.dashboard.measure import Times
from bench.load.samples import CLUSTER, HOUR_S, METRICS, STEP_S, cluster_json, host, values
from bench.support.process import ready_process
from services.metricstore.folder import Folder
from services.metricstore.format import Place, Rows
from shared.broker.clusters import add_cluster
from shared.broker.cursor import log_state
from shared.broker.streams import METRICS as STREAM
from shared.broker.streams import provision
from shared.settings import NatsSettings
from tests.support.nats import NatsServer, client_of
from tests.support.processes import ServiceProcess, ServiceRunner

ARRIVES_S = 1800.0
NODES, QUERY_METRICS, WINDOW_S = 32, 4, 24 * 3600
POSITION = "jobtide_metricstore_position"
_MESSAGES_PER_WRITE = 100


class Wrong(Exception):
    """Samples are missing, or are not those that were sent."""


@dataclass(frozen=True, slots=True)
class StoreSite:
    """A broker with the cluster, and a runner of services over it."""

    nats: NatsSettings
    server: NatsServer
    runner: ServiceRunner

    async def start(self, path: Path, **variables: str) -> ServiceProcess:
        process = self.runner.prepare("metricstore", self.nats, JOBTIDE_METRICSTORE_PATH=str(path), **variables)
        process.launch()
        return await process.up(60.0)


@asynccontextmanager
async def store_site(folder: Path) -> AsyncIterator[StoreSite]:
    (folder / "nats").mkdir()
    server = NatsServer(folder / "nats")
    runner = ServiceRunner(folder)
    try:
        await asyncio.to_thread(server.start)
        nats = NatsSettings(url=server.url)
        async with client_of(nats) as client:
            await provision(client, nats)
            await add_cluster(client, nats, cluster_json())
        yield StoreSite(nats, server, runner)
    finally:
        runner.end_all()
        server.kill()


@dataclass(frozen=True, slots=True)
class Sent:
    lines: int
    messages: int
    seconds: float


class Sender:
    """A process that publishes samples once it may begin."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def finished(self, deadline_s: float = ARRIVES_S) -> Sent:
        """Raises RuntimeError when it failed, TimeoutError."""
        assert self._process.stdout is not None
        text = await asyncio.wait_for(self._process.stdout.readline(), deadline_s)
        if not text:
            raise RuntimeError("the sender of samples ended without output")
        said = orjson.loads(text)
        return Sent(said["lines"], said["messages"], said["finished"] - said["started"])


@asynccontextmanager
async def sender(nats: NatsSettings, hosts: int, begin: int, minutes: int, rate: float | None = None) -> AsyncIterator[Sender]:
    given = {"url": nats.url, "subject": nats.metric_subjects[0], "hosts": hosts, "begin": begin, "minutes": minutes, "rate": rate}
    arguments = [text for name, value in given.items() if value is not None for text in (f"--{name}", str(value))]
    async with ready_process("bench.load.samples", arguments) as process:
        yield Sender(process)


async def numbers(process: ServiceProcess) -> dict[str, float]:
    """The metrics of the service."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{process.addresses['health']}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


async def wait_visible(nats: NatsSettings, process: ServiceProcess, messages: int) -> None:
    """Until all messages of the stream are visible. Raises Wrong when the broker has fewer than were sent, TimeoutError."""
    async with client_of(nats) as client:
        last = (await log_state(client, nats.stream(STREAM))).last_sequence
    if last != messages:
        raise Wrong(f"{messages} messages were sent, the stream has {last}")
    async with asyncio.timeout(ARRIVES_S):
        while (await numbers(process))[POSITION] < last:
            await asyncio.sleep(0.2)


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


async def write_samples(url: str, bodies: Sequence[bytes]) -> None:
    """Send the messages to the metric store over HTTP."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for first in range(0, len(bodies), _MESSAGES_PER_WRITE):
            async with session.post(f"{url}/api/write/", data=b"\n".join(bodies[first : first + _MESSAGES_PER_WRITE])):
                pass


def write_files(path: Path, hosts: int, end_hour: int, hours: int) -> tuple[int, int]:
    """Files as the store writes them, of hours up to ``end_hour``; the number of samples, and of bytes."""
    folder = Folder(path)
    samples = size = 0
    with folder.opened():
        for hour in range(end_hour - hours, end_hour):
            begin = hour * HOUR_S // STEP_S
            rows = [
                Rows([(name, host(number), "", "", "", "") for number in range(hosts)], STEP_S, begin, values(metric, hour, hosts))
                for metric, name in enumerate(METRICS)
            ]
            size += folder.write(CLUSTER, hour, rows, Place("of another stream", 1, 1)).size
            samples += sum(some.samples.size for some in rows)
    return samples, size


async def ask(process: ServiceProcess, hosts: int, end: int, count: int) -> tuple[Times, float]:
    """Queries of so many nodes and metrics over a day, one after the other; their times, and the store's processor time of one, seconds.

    Nodes and metrics are drawn from a fixed seed. Raises Wrong when samples are not those that were sent.
    """
    draw = random.Random(5)
    nodes = min(NODES, hosts)
    times = Times()
    used = cpu_s(process.pid)
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            first = draw.randrange(hosts - nodes + 1)
            metrics = draw.sample(range(len(METRICS)), QUERY_METRICS)
            queries = [{"metric": METRICS[metric], "host": host(number)} for metric in metrics for number in range(first, first + nodes)]
            body = orjson.dumps({"cluster": CLUSTER, "from": end - WINDOW_S, "to": end, "queries": queries, "with-padding": False})
            begun = time.perf_counter()
            async with session.get(f"http://{process.addresses['http']}/api/query", data=body) as answer:
                text = await answer.read()
            times.seconds.append(time.perf_counter() - begun)
            times.sizes.append(len(text))
            _check(text, metrics[0], first, end, hosts)
    return times, (cpu_s(process.pid) - used) / count


def _check(text: bytes, metric: int, number: int, end: int, hosts: int) -> None:
    """Compare the last hour of the first series."""
    found: Sequence[float | None] = orjson.loads(text)["results"][0][0]["data"][-(HOUR_S // STEP_S) :]
    expected = values(metric, end // HOUR_S - 1, hosts)[number]
    if not np.array_equal(np.array(found, dtype=np.float32), expected):
        raise Wrong(f"{METRICS[metric]} of {host(number)}: {found[:5]}… instead of {expected[:5].tolist()}…")
