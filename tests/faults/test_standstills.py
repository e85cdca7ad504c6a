"""What can take nothing more in says so: readiness, metrics and status name the reason within ten seconds."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nats.js.errors import APIError

from shared.broker.streams import INTAKE
from shared.errors import Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from shared.standstill import AFTER_S, Place, Standstill
from tests.cli.sites import jobtide
from tests.faults.conftest import MakeStack
from tests.support.adapter import publish_accepted
from tests.support.clusters import add_clusters_blocking
from tests.support.nats import NatsServer, client_of, provision_blocking, unique_settings
from tests.support.processes import ServiceProcess
from tests.support.verdict import settled
from tests.support.waiting import until
from tests.support.workload import workload

SEEN_WITHIN_S = 10.0
LOOK_S = 1.0  # of a test, on top
STORE_BYTES = 2 * 1024 * 1024


@pytest.fixture
def small_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A broker that has room for two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    server = NatsServer(folder, max_store_bytes=STORE_BYTES)
    server.start()
    yield server
    server.kill()


async def page(service: ServiceProcess, path: str) -> tuple[int, str]:
    address = service.addresses.get("health") or service.addresses["http"]
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.text()


async def is_ready(service: ServiceProcess) -> bool:
    return (await page(service, "/readyz"))[0] == 200


async def until_ready(service: ServiceProcess) -> None:
    await until(lambda: is_ready(service), SEEN_WITHIN_S, f"{service.name} ready")


async def fill(nats: NatsSettings) -> None:
    """Publish until the broker refuses."""
    async with client_of(nats) as client:
        for _ in range(1000):
            try:
                await client.jetstream(timeout=3).publish(nats.node_subjects[0], b"#" * 16_384)
            except APIError:
                return
    raise AssertionError("the broker never refused")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_broker_whose_store_is_full_is_named_by_every_service(
    make_stack: MakeStack, small_nats: NatsServer, sqlite_database: DatabaseSettings
) -> None:
    nats = unique_settings(small_nats.url)
    await asyncio.to_thread(provision_blocking, nats)
    await asyncio.to_thread(add_clusters_blocking, nats)
    stack = make_stack(nats, sqlite_database)
    await stack.up()
    await asyncio.gather(*(until_ready(service) for service in stack.services))
    await fill(nats)
    for service in stack.services:

        async def is_named(service: ServiceProcess = service) -> bool:
            status, text = await page(service, "/readyz")
            return status == 503 and "the broker refuses to store messages: insufficient" in text

        await until(is_named, SEEN_WITHIN_S + LOOK_S, f"{service.name} names the full store")
        assert 'jobtide_check_failing{check="store"} 1.0' in (await page(service, "/metrics"))[1]
    variables: dict[str, Any] = {
        "JOBTIDE_NATS_URL": nats.url,
        "JOBTIDE_NATS_PREFIX": nats.prefix,
        "JOBTIDE_DATABASE_URL": sqlite_database.url.get_secret_value(),
    }
    shown = await asyncio.to_thread(lambda: jobtide("status", **variables))
    assert "! the broker refuses to store messages: insufficient" in shown.stdout
    async with client_of(nats) as client:
        await client.jetstream().purge_stream(nats.stream(INTAKE))
    await asyncio.gather(*(until_ready(service) for service in stack.services))


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_database_without_room_is_named_and_the_events_follow_when_there_is_room(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    stack = make_stack(site, sqlite_database, names=("ingest", "jobstore"))
    await stack.up()
    jobstore = stack["jobstore"]
    await until_ready(jobstore)
    resource.prlimit(jobstore.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    plan = workload(seed=31, jobs=40)
    await publish_accepted(site, plan.messages)

    async def is_named() -> bool:
        status, text = await page(jobstore, "/readyz")
        return status == 503 and "stands at" in text and "database: " in text

    await until(is_named, SEEN_WITHIN_S + LOOK_S, "jobstore names the standstill")
    assert (await page(jobstore, "/healthz"))[0] == 200
    resource.prlimit(jobstore.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await until(lambda: is_ready(jobstore), 20, "jobstore ready again")
    await settled(site, sqlite_database)
    await stack.verify(plan)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("places", "stands"),
    [
        ([(0, 0), (0, 0)], False),
        ([(5, 9), (5, 9)], True),
        ([(5, 9), (5, 12)], True),
        ([(5, 9), (6, 12)], False),
        ([(5, 5), (5, 9)], False),
        ([(9, 9), (5, 9)], False),
        ([(5, 9), (9, 9)], False),
    ],
)
async def test_a_reader_stands_when_it_is_behind_and_has_not_moved(places: list[tuple[int, int]], stands: bool) -> None:
    clock = Clock()

    async def unused() -> Place:
        raise AssertionError

    standstill = Standstill("the position", unused, lambda: "the disk is full", clock=clock)
    for at, end in places:
        standstill.see(Place(at, end))
        clock.now += AFTER_S / 2
    standstill.see(Place(*places[-1]))
    if not stands:
        await standstill.require()
        return
    with pytest.raises(Unavailable, match=r"^the position stands at 5 of \d+ for 8 s: the disk is full$"):
        await standstill.require()
