"""The metric store as a process under faults: no sample that the broker has is lost, and none is replaced by an older one."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from nats.aio.client import Client

from shared.settings import NatsSettings
from tests.metricstore.site import StoreClient, add, cluster_text, now, read_to_the_end
from tests.support.disks import SmallDisk, small_disk
from tests.support.nats import client_of, provision_blocking, publish, unique_settings
from tests.support.processes import ServiceProcess, ServiceRunner
from tests.support.waiting import until

KILLS = int(os.environ.get("JOBTIDE_TEST_METRIC_KILLS", "3"))
LINES_PER_S = 50_000
HOSTS, MINUTES = 500, 180
POSITION = "jobtide_metricstore_position"
NOVA = cluster_text("nova", {"mem_used": (60, "sum")})
QUICK = {"JOBTIDE_METRICSTORE_SAVE_S": "1", "JOBTIDE_METRICSTORE_MEMORY_HOURS": "1"}


@pytest.fixture
async def nova(nats_settings: NatsSettings) -> NatsSettings:
    settings = nats_settings.model_copy(update={"metrics_max_gib": 2.0})
    provision_blocking(settings)
    await add(settings, NOVA)
    return settings


@asynccontextmanager
async def client(process: ServiceProcess) -> AsyncIterator[StoreClient]:
    async with aiohttp.ClientSession() as session:
        yield StoreClient(process.addresses["http"], process.addresses["health"], session)


class Load:
    """Each message has one minute of all hosts, of now or up to three hours ago; its number is the value."""

    def __init__(self, nats: NatsSettings) -> None:
        self._nats = nats
        self.begin = now() // 60 * 60 - MINUTES * 60
        self.messages = 0
        self.latest = np.zeros(MINUTES, dtype=np.int64)  # number of the last message of each minute
        self.heads = [f"mem_used,cluster=nova,hostname=n{number:03} value=" for number in range(HOSTS)]

    async def run(self, stop: asyncio.Event) -> None:
        """Publish ``LINES_PER_S``, or as many as this machine can."""
        async with client_of(self._nats) as client:
            started = time.monotonic()
            sent = 0
            while not stop.is_set():
                await self._send(client)
                sent += 1
                await asyncio.sleep(max(0.0, started + sent * HOSTS / LINES_PER_S - time.monotonic()))
            await client.flush(30)

    def has_sent(self, messages: int) -> bool:
        return self.messages >= messages

    async def _send(self, client: Client) -> None:
        self.messages += 1
        minute = self.messages * 7 % MINUTES
        self.latest[minute] = self.messages
        tail = f"{self.messages} {self.begin + minute * 60}"
        await client.publish(self._nats.metric_subjects[0], "\n".join([head + tail for head in self.heads]).encode())


async def _later_position(store: StoreClient, before: float) -> float:
    """The position, once it has moved; else 0."""
    found = (await store.numbers())[POSITION]
    return found if found > before else 0.0


@pytest.mark.slow
@pytest.mark.timeout(180 + 60 * KILLS)
async def test_kills_under_load_neither_lose_nor_repeat_samples(nova: NatsSettings, service: ServiceRunner) -> None:
    load = Load(nova)
    process = await service.start("metricstore", nova, **QUICK)

    async def has_written_files() -> bool:
        async with client(process) as store:
            return (await store.numbers())["jobtide_metricstore_written_bytes_total"] > 0

    stop = asyncio.Event()
    loading = asyncio.create_task(load.run(stop))
    for kill in range(KILLS):
        await until(has_written_files, 60)
        await until(partial(load.has_sent, 50 * (kill + 1)), 60)
        process.kill9()
        process.launch()
        await process.up(60)
    stop.set()
    await loading
    process.kill9()
    process.launch()
    await process.up(60)
    async with client(process) as store:
        position = 0.0
        while position < load.messages:
            position = await until(partial(_later_position, store, position), 60)
        assert (await store.numbers())["jobtide_metricstore_expired_total"] == 0
        question = {
            "cluster": "nova",
            "from": load.begin,
            "to": load.begin + MINUTES * 60,
            "for-all-nodes": ["mem_used"],
            "with-stats": False,
        }
        found = await store.query(question)
        assert len(found["results"]) == HOSTS
        expected = [int(number) or None for number in load.latest]
        while expected[-1] is None:
            expected.pop()
        for (element,) in found["results"]:
            assert element["data"] == expected


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_killed_broker_loses_no_accepted_line(private_nats: object, service: ServiceRunner, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("private_nats")
    nats = unique_settings(server.url)
    provision_blocking(nats)
    await add(nats, NOVA)
    process = await service.start("metricstore", nats, **QUICK)
    at = now() // 60 * 60
    async with client(process) as store:
        for minute in range(3):
            await store.write(*(f"mem_used,cluster=nova,hostname=n{k} value={minute} {at - 60 * minute}" for k in range(20)))
            server.kill()
            server.restart()
        await publish(nats, f"mem_used,cluster=nova,hostname=n0 value=9 {at - 180}".encode(), subject=nats.metric_subjects[0])
        await read_to_the_end(nats, store, 60)
        for k in range(20):
            assert (await store.values("nova", f"n{k}", "mem_used", at - 120, at + 60)) == [2, 1, 0]
        assert (await store.values("nova", "n0", "mem_used", at - 180, at - 120)) == [9]
    assert process.is_running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mb=16) as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_disk_that_is_full_while_files_are_written_loses_no_sample(
    disk: SmallDisk, nova: NatsSettings, service: ServiceRunner
) -> None:
    process = await service.start("metricstore", nova, JOBTIDE_METRICSTORE_PATH=str(disk.folder), **QUICK)
    at = now() // 60 * 60
    async with client(process) as store:

        async def has_files(count: int) -> bool:
            return (await store.numbers())["jobtide_metricstore_files"] >= count

        async def is_refused() -> bool:
            async with store.session.get(f"http://{store.health}/readyz") as answer:
                return answer.status == 503 and "cannot be written" in await answer.text()

        await store.write(f"mem_used,cluster=nova,hostname=n1 value=1 {at}")
        await until(lambda: has_files(1), 30)
        disk.fill(process)
        await store.write(
            *(f"mem_used,cluster=nova,hostname=n{k} value={hour} {at - 3600 * hour}" for hour in range(1, 6) for k in range(300))
        )
        await until(is_refused, 30)
        assert await store.values("nova", "n7", "mem_used", at - 5 * 3600, at - 5 * 3600 + 60) == [5]
        assert not [path for path in disk.folder.glob("nova/.*") if path.stat().st_size > 4096]
        disk.make_room(process)
        await until(lambda: has_files(6), 90)
    process.kill9()
    process.launch()
    await process.up()
    async with client(process) as store:
        await read_to_the_end(nova, store, 60)
        for hour in range(1, 6):
            assert await store.values("nova", "n299", "mem_used", at - 3600 * hour, at - 3600 * hour + 60) == [hour]


CLOCK = """
import time
from pathlib import Path
_real, _ahead = time.time, Path(__file__).with_name("ahead_s")
time.time = lambda: _real() + float(_ahead.read_text())
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_jumping_clock_neither_removes_nor_refuses_samples(nova: NatsSettings, service: ServiceRunner, tmp_path: Path) -> None:
    """Only the clock of the store's machine jumps, by two months ahead and by a day back."""
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(CLOCK)
    (clock / "ahead_s").write_text("0")
    process = await service.start("metricstore", nova, PYTHONPATH=str(clock), **QUICK)
    at = now() // 60 * 60
    jumps = (0, 60 * 86_400, -86_400, 0)
    async with client(process) as store:

        async def files() -> float:
            return (await store.numbers())["jobtide_metricstore_files"]

        for place, ahead in enumerate(jumps):
            temporary = clock / "ahead"
            temporary.write_text(str(ahead))
            temporary.replace(clock / "ahead_s")
            at_old = at - 20 * 86_400 + 3600 * place
            assert (
                await store.write(*(f"mem_used,cluster=nova,hostname=n1 value={place} {t}" for t in (at - 60 * place, at_old)))
            ).status == 200
            await read_to_the_end(nova, store, 60)

            async def has_old_file(count: int = place + 2) -> bool:
                return await files() >= count

            await until(has_old_file, 30)
        assert await store.values("nova", "n1", "mem_used", at - 180, at + 60) == [3, 2, 1, 0]
        for place in range(len(jumps)):
            at_old = at - 20 * 86_400 + 3600 * place
            assert await store.values("nova", "n1", "mem_used", at_old, at_old + 60) == [place]
        refused = {name: value for name, value in (await store.numbers()).items() if "refused" in name}
        assert not any(refused.values()), json.dumps(refused)
