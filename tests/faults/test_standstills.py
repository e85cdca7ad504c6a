"""A standstill is reported by readiness, metrics and status within ten seconds, with its reason."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nats.js.errors import APIError
from sqlalchemy import text

from shared.broker.streams import EVENTS, INTAKE, provision
from shared.database.engine import opened, transaction
from shared.errors import Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from shared.standstill import AFTER_S, Place, Standstill
from tests.cli.sites import jobtide
from tests.faults.conftest import MakeStack
from tests.support.adapter import publish_accepted
from tests.support.builders import START_TIME, start_line, start_payload
from tests.support.clusters import add_clusters_blocking
from tests.support.databases import SqliteTemplate, query
from tests.support.disks import small_disk
from tests.support.nats import NatsServer, client_of, provision_blocking, publish, unique_settings
from tests.support.processes import ServiceProcess
from tests.support.rest import ask, rest_jobs, submit
from tests.support.verdict import settled
from tests.support.waiting import until
from tests.support.workload import workload

SEEN_WITHIN_S = 30.0
TAKEN_OVER_WITHIN_S = 45.0
LOOK_S = 1.0  # tolerance of the tests
STORE_BYTES = 2 * 1024 * 1024
MAX_STORE_BYTES = 1024 * 1024 * 1024  # larger than the disk, so that the disk is full first


@pytest.fixture
def small_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A broker whose store is limited to two megabytes."""
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


async def until_named(service: ServiceProcess, why: str) -> None:
    """Readiness names the reason, and the metrics show that the check fails."""

    async def is_named() -> bool:
        status, text = await page(service, "/readyz")
        return status == 503 and why in text

    await until(is_named, SEEN_WITHIN_S + LOOK_S, f"{service.name} says: {why}")
    assert 'jobtide_check_failing{check="store"} 1.0' in (await page(service, "/metrics"))[1]


async def until_standing(service: ServiceProcess, why: str, check: str) -> None:
    """Readiness names the reason, liveness is good, and the metrics show that the check fails."""

    async def is_named() -> bool:
        status, text = await page(service, "/readyz")
        return status == 503 and why in text

    await until(is_named, SEEN_WITHIN_S + LOOK_S, f"{service.name} says: {why}")
    assert (await page(service, "/healthz"))[0] == 200
    assert f'jobtide_check_failing{{check="{check}"}} 1.0' in (await page(service, "/metrics"))[1]


async def shown_status(nats: NatsSettings, database: DatabaseSettings) -> str:
    """The output of ``jobtide status``."""
    variables: dict[str, Any] = {
        "JOBTIDE_NATS_URL": nats.url,
        "JOBTIDE_NATS_PREFIX": nats.prefix,
        "JOBTIDE_DATABASE_URL": database.url.get_secret_value(),
    }
    return (await asyncio.to_thread(lambda: jobtide("status", **variables))).stdout


async def assert_gateway_names(gateway: ServiceProcess, why: str) -> None:
    """The answer to a start and the status over REST give the reason. A small report may still fit into its stream."""
    status, answer = await ask(gateway, "POST", "/api/jobs/start_job/", start_payload(1))
    assert (status, why in answer["error"]) == (503, True), answer
    _, answer = await ask(gateway, "GET", "/api/status/")
    assert why in answer["broker"]


async def fill(nats: NatsSettings) -> None:
    """Publish until the broker refuses."""
    async with client_of(nats) as client:
        for _ in range(1000):
            try:
                await client.jetstream(timeout=30).publish(nats.node_subjects[0], b"#" * 16_384)
            except APIError:
                return
    raise AssertionError("the broker never refused")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_every_service_reports_a_broker_whose_store_is_full(
    make_stack: MakeStack, small_nats: NatsServer, sqlite_database: DatabaseSettings
) -> None:
    nats = unique_settings(small_nats.url).model_copy(update={"metrics_max_gib": 0.0005})
    await asyncio.to_thread(provision_blocking, nats)
    await asyncio.to_thread(add_clusters_blocking, nats)
    stack = make_stack(nats, sqlite_database)
    await stack.up()
    await asyncio.gather(*(until_ready(service) for service in stack.services))
    await fill(nats)
    await asyncio.gather(*(until_named(service, "the broker refuses to store messages: insufficient") for service in stack.services))
    assert "! the broker refuses to store messages: insufficient" in await shown_status(nats, sqlite_database)
    await assert_gateway_names(stack["gateway"], "the broker refuses to store messages: insufficient")
    async with client_of(nats) as client:
        await client.jetstream().purge_stream(nats.stream(INTAKE))
    await asyncio.gather(*(until_ready(service) for service in stack.services))


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_every_service_reports_a_full_disk_of_the_broker_until_it_is_restarted_and_nothing_accepted_is_lost(
    make_stack: MakeStack, tmp_path: Path, sqlite_database: DatabaseSettings
) -> None:
    """A stream whose write failed stores nothing until nats-server starts again, even when there is room."""
    plan = workload(seed=32, jobs=150)
    half = len(plan.messages) // 2
    folder = tmp_path / "broker"
    folder.mkdir()
    server = NatsServer(folder, max_store_bytes=MAX_STORE_BYTES)
    with small_disk(server.store, mb=64) as disk:
        server.start()
        try:
            nats = unique_settings(server.url)
            await asyncio.to_thread(provision_blocking, nats)
            await asyncio.to_thread(add_clusters_blocking, nats)
            stack = make_stack(nats, sqlite_database)
            await stack.up()
            await asyncio.gather(*(until_ready(service) for service in stack.services))
            await publish_accepted(nats, plan.messages[:half])
            disk.fill(server)
            await asyncio.gather(*(until_named(service, "the broker answers but stores no message") for service in stack.services))
            assert "! the broker answers but stores no message" in await shown_status(nats, sqlite_database)
            await assert_gateway_names(stack["gateway"], "the broker answers but stores no message")
            disk.make_room(server)
            assert not any([await is_ready(service) for service in stack.services])
            server.restart()
            await asyncio.gather(*(until_ready(service) for service in stack.services))
            await publish_accepted(nats, plan.messages[half:])
            await stack.verify(plan)
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_full_database_is_reported_and_events_are_applied_when_there_is_room(
    make_stack: MakeStack, site: NatsSettings, sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    plan = workload(seed=31, jobs=40)
    with small_disk(tmp_path / "database", mb=16) as disk:
        database = sqlite_template.fresh(disk.folder)
        stack = make_stack(site, database, names=("ingest", "jobstore", "gateway"))
        await stack.up()
        jobstore, gateway = stack["jobstore"], stack["gateway"]
        await asyncio.gather(until_ready(jobstore), until_ready(gateway))
        disk.fill(jobstore)
        over_rest = rest_jobs(first_job_id=1_000_000, count=1)
        plan.jobs |= set(over_rest)
        status, answer = await ask(gateway, "POST", "/api/jobs/start_job/", start_payload(1_000_000, startTime=START_TIME))
        why = "the database has no space left" if disk.is_mount else "the database is unavailable"
        assert (status, "recorded under sequence 1" in answer["error"], why in answer["error"]) == (503, True, True), answer
        await publish_accepted(site, plan.messages)
        await until_standing(jobstore, "database: ", "position EVENTS")
        assert f"! the position in {site.stream(EVENTS)} stands at" in await shown_status(site, database)
        disk.make_room(jobstore)
        await until(lambda: is_ready(jobstore), 20, "jobstore ready again")
        await submit(gateway, over_rest)
        await settled(site, database)
        await stack.verify(plan)


HOLDS_THE_POSITION = """
SELECT 1 FROM pg_stat_activity AS session JOIN pg_locks AS held ON held.pid = session.pid
WHERE session.datname = current_database() AND session.state = 'idle in transaction'
  AND held.relation = to_regclass('position') AND held.mode = 'RowShareLock'
"""


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_standby_takes_over_from_a_jobstore_frozen_inside_a_transaction(
    make_stack: MakeStack, site: NatsSettings, postgres_database: DatabaseSettings
) -> None:
    plan = workload(seed=33, jobs=300)
    # Many small transactions, so that one is likely open when the process is frozen.
    variables = {"JOBTIDE_JOBSTORE_BATCH": "3"}
    stack = make_stack(site, postgres_database, names=("ingest", "jobstore", "jobstore"), variables=variables)
    ingest, frozen, standby = stack.services
    for service in (ingest, standby):
        service.launch()
        await service.up()
    # The standby is started before the other one is frozen: the server ends the frozen transaction after 15 s.
    os.kill(standby.pid, signal.SIGSTOP)
    await publish_accepted(site, [message for message in plan.messages if message.kind == "job"])
    frozen.launch()
    await until(lambda: froze_inside_a_transaction(frozen, postgres_database), 40, "jobstore freezes inside a transaction")
    os.kill(standby.pid, signal.SIGCONT)
    since = time.monotonic()
    status = asyncio.create_task(shown_status(site, postgres_database))

    async def is_named() -> bool:
        status, text = await page(standby, "/readyz")
        return status == 503 and f"the position in {site.stream(EVENTS)} stands at" in text

    await until(is_named, SEEN_WITHIN_S + LOOK_S, "the standby says that the position stands")
    assert 'jobtide_check_failing{check="position EVENTS"} 1.0' in (await page(standby, "/metrics"))[1]
    await until(lambda: is_ready(standby), TAKEN_OVER_WITHIN_S - (time.monotonic() - since), "the standby has taken over")
    assert f"! the position in {site.stream(EVENTS)} stands at" in await status
    await publish_accepted(site, [message for message in plan.messages if message.kind == "node"])
    await settled(site, postgres_database)
    os.kill(frozen.pid, signal.SIGCONT)
    await stack.verify(plan)


ENDLESS = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$
"""
QUICK_AGAIN = "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
IN_EACH_JOB = "CREATE TRIGGER slow BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION slow()"
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_statement_that_does_not_end_is_reported(
    make_stack: MakeStack, site: NatsSettings, postgres_database: DatabaseSettings
) -> None:
    plan = workload(seed=34, jobs=40)
    # The statement must not reach its time limit during the test.
    stack = make_stack(site, postgres_database, names=("ingest", "jobstore"), variables={"JOBTIDE_DATABASE_TIMEOUT_S": "120"})
    async with opened(postgres_database) as engine:
        async with transaction(engine) as connection:
            await connection.execute(text(ENDLESS))
            await connection.execute(text(IN_EACH_JOB))
        await stack.up()
        jobstore = stack["jobstore"]
        await until_ready(jobstore)
        await publish_accepted(site, plan.messages)
        await until_standing(jobstore, f"the position in {site.stream(EVENTS)} stands at", "position EVENTS")
        assert f"! the position in {site.stream(EVENTS)} stands at" in await shown_status(site, postgres_database)
        async with transaction(engine) as connection:
            await connection.execute(text(QUICK_AGAIN))
        async with transaction(engine) as connection:
            await connection.execute(text(END_SESSIONS))
        await until(lambda: is_ready(jobstore), 20, "jobstore ready again")
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_an_intake_that_is_not_read_and_messages_about_to_expire_are_reported(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    stack = make_stack(site, sqlite_database, names=("ingest",))
    await stack.up()
    ingest, intake = stack["ingest"], site.stream(INTAKE)
    await until_ready(ingest)
    async with client_of(site) as client:
        js = client.jetstream(timeout=30)
        await js.delete_stream(site.stream(EVENTS))  # nothing can be published, so ingest reads until its limit of unacknowledged messages
        await publish(site, *(start_line(number) for number in range(1, 401)))
        await until_standing(ingest, f"reading of {intake} stands at", "unread")
        assert f"! ingest stopped reading {intake} at" in await shown_status(site, sqlite_database)

        async def is_of_age() -> bool:
            text = (await page(ingest, "/metrics"))[1]
            age = re.search(r"^jobtide_ingest_oldest_unread_seconds (\S+)$", text, re.MULTILINE)
            return age is not None and float(age[1]) > 25.0

        await until(is_of_age, 60, "the age is a metric")
        config = (await js.stream_info(intake)).config
        await js.update_stream(config.evolve(max_age=50.0))  # they expire 25 s later
        status = asyncio.create_task(shown_status(site, sqlite_database))
        await until_standing(ingest, f"the oldest unread message of {intake} is", "backlog")
        assert f"! the oldest unread message of {intake} is" in await status
        assert await provision(client, site) != []
        await until(lambda: is_ready(ingest), 30, "ingest ready again")


async def froze_inside_a_transaction(process: ServiceProcess, database: DatabaseSettings) -> bool:
    """Freeze the process. Continue it unless it held the position at that moment."""
    os.kill(process.pid, signal.SIGSTOP)
    if await query(database, HOLDS_THE_POSITION):
        return True
    os.kill(process.pid, signal.SIGCONT)
    return False


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
async def test_a_reader_stands_still_when_it_is_behind_and_has_not_moved(places: list[tuple[int, int]], stands: bool) -> None:
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
