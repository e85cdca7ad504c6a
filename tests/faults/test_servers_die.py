"""The broker and the database are killed and restarted under load; the log is replaced by a different one."""

import asyncio
import random

import pytest
from pydantic import SecretStr

from shared.broker.streams import EVENTS, INTAKE, stream_configs
from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import MakeStack
from tests.support.adapter import load, publish_accepted
from tests.support.databases import PostgresTemplate, query
from tests.support.mariadb import MariaDbServer, MariaDbTemplate
from tests.support.nats import NatsServer, client_of
from tests.support.postgres import PostgresServer
from tests.support.processes import ServiceRunner
from tests.support.verdict import settled
from tests.support.waiting import until
from tests.support.workload import workload

BACKBONE = ("ingest", "jobstore")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_killing_the_broker_under_load_loses_nothing(
    make_stack: MakeStack, private_nats: NatsServer, private_site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    dice = random.Random(11)
    plan = workload(seed=11, jobs=1000)
    stack = make_stack(private_site, sqlite_database)
    await stack.up()
    async with load(private_site, plan.messages, over_s=10):
        for down_s in (0.0, 0.5, 2.0, 0.0):
            await asyncio.sleep(dice.uniform(1.0, 2.0))  # the moment is what is random here
            private_nats.kill()
            await asyncio.sleep(down_s)
            private_nats.start()
    await stack.verify(plan, deadline_s=90)


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_services_wait_until_the_broker_starts(
    make_stack: MakeStack, private_nats: NatsServer, private_site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    plan = workload(seed=12, jobs=50)
    await publish_accepted(private_site, plan.messages)
    private_nats.kill()
    stack = make_stack(private_site, sqlite_database, names=("ingest", "jobstore", "archiver"))
    stack.launch()
    for service in stack.services:
        await until(lambda service=service: service.log_lines("waiting_for_broker"), 30)  # type: ignore[misc]
    private_nats.start()
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_killing_or_stopping_postgresql_under_load_loses_nothing(
    make_stack: MakeStack, site: NatsSettings, private_postgres: PostgresServer
) -> None:
    dice = random.Random(13)
    plan = workload(seed=13, jobs=1000)
    database = PostgresTemplate(private_postgres.url).fresh()
    stack = make_stack(site, database)
    await stack.up()
    async with load(site, plan.messages, over_s=8):
        for end, down_s in ((private_postgres.kill, 0.0), (private_postgres.stop, 1.0), (private_postgres.kill, 2.0)):
            await asyncio.sleep(dice.uniform(1.0, 2.0))  # the moment is what is random here
            end()
            await asyncio.sleep(down_s)
            private_postgres.start()
    await stack.verify(plan, deadline_s=90)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_mariadb_that_starts_late_and_is_killed_under_load_like_jobstore_loses_nothing(
    make_stack: MakeStack, site: NatsSettings, private_mariadb: MariaDbServer
) -> None:
    """Its log is written once a second, so a killed server comes back without the last commits, the position among them."""
    dice = random.Random(18)
    plan = workload(seed=18, jobs=1000)
    private_mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")  # until it is started again: the schema is not to be lost
    database = (await asyncio.to_thread(MariaDbTemplate, private_mariadb)).fresh()
    private_mariadb.stop()
    stack = make_stack(site, database)
    stack.launch()
    await until(lambda: stack["jobstore"].log_lines("waiting_for_database"), 60)
    private_mariadb.start()
    await stack.up()
    async with load(site, plan.messages, over_s=8):
        for down_s in (0.0, 1.0):
            await asyncio.sleep(dice.uniform(1.0, 2.0))  # the moments are what is random here
            private_mariadb.stop()
            await asyncio.sleep(down_s)
            private_mariadb.start()
            await asyncio.sleep(dice.uniform(0.5, 1.5))
            stack["jobstore"].kill9()
            stack["jobstore"].launch()
    await stack.up()
    await stack.verify(plan, deadline_s=90)


@pytest.mark.timeout(60)
async def test_jobstore_waits_until_the_database_starts(
    make_stack: MakeStack, site: NatsSettings, private_postgres: PostgresServer
) -> None:
    database = PostgresTemplate(private_postgres.url).fresh()
    private_postgres.stop()
    jobstore = make_stack(site, database)["jobstore"]
    jobstore.launch()
    await until(lambda: jobstore.log_lines("waiting_for_database"), 20)
    private_postgres.start()
    await jobstore.up()


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_a_deleted_consumer_is_recreated_without_repeated_effects(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    plan = workload(seed=14, jobs=600)
    stack = make_stack(site, sqlite_database)
    await stack.up()
    async with load(site, plan.messages, over_s=6), client_of(site) as client:
        js = client.jetstream()
        for stream in (INTAKE, EVENTS, INTAKE, EVENTS):
            await asyncio.sleep(1.0)  # the load continues between the deletions
            for consumer in await js.consumers_info(site.stream(stream)):
                await js.delete_consumer(site.stream(stream), consumer.name)
    await stack.verify(plan)


@pytest.mark.timeout(60)
async def test_a_recreated_log_stops_jobstore_with_one_clear_line(
    make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings
) -> None:
    plan = workload(seed=15, jobs=30)
    stack = make_stack(site, database, names=BACKBONE)
    await stack.up()
    await publish_accepted(site, plan.messages)
    await settled(site, database)
    rows = await query(database, "SELECT * FROM job ORDER BY id")
    await stack.down()
    jobstore = stack["jobstore"]
    async with client_of(site) as client:
        js = client.jetstream()
        await js.delete_stream(site.stream(EVENTS))
        await js.add_stream(next(config for config in stream_configs(site) if config.name == site.stream(EVENTS)))
    jobstore.launch()
    assert await jobstore.ended(30) == 2
    last = jobstore.log_text.splitlines()[-1]
    assert last.startswith("jobstore: the stream EVENTS was recreated")
    assert "jobtide provision --continue-log" in last
    assert await query(database, "SELECT * FROM job ORDER BY id") == rows


@pytest.mark.timeout(60)
async def test_jobstore_does_not_read_a_log_that_is_recreated_while_it_runs(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    plan = workload(seed=16, jobs=30)
    stack = make_stack(site, sqlite_database, names=BACKBONE)
    await stack.up()
    await publish_accepted(site, plan.messages)
    await settled(site, sqlite_database)
    async with client_of(site) as client:
        js = client.jetstream()
        await js.delete_stream(site.stream(EVENTS))
        await js.add_stream(next(config for config in stream_configs(site) if config.name == site.stream(EVENTS)))
    assert await stack["jobstore"].ended(30) == 2
    assert "was recreated" in stack["jobstore"].log_text.splitlines()[-1]


@pytest.mark.timeout(60)
async def test_a_log_shorter_than_the_position_stops_jobstore_with_one_clear_line(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    plan = workload(seed=17, jobs=30)
    stack = make_stack(site, sqlite_database, names=BACKBONE)
    await stack.up()
    await publish_accepted(site, plan.messages)
    await settled(site, sqlite_database)
    jobstore = stack["jobstore"]
    await jobstore.terminate()
    await _move_position(sqlite_database, by=5)
    jobstore.launch()
    assert await jobstore.ended(30) == 2
    assert "jobtide provision --continue-log" in jobstore.log_text.splitlines()[-1]


async def _move_position(database: DatabaseSettings, by: int) -> None:
    """Shorten the log, as if the broker was restored from a backup ``by`` events older than the database."""
    import sqlalchemy

    from shared.database.engine import opened

    async with opened(database) as engine, engine.begin() as connection:
        await connection.execute(sqlalchemy.text("UPDATE position SET sequence = sequence + :by WHERE stream = 'EVENTS'"), {"by": by})


async def test_a_wrong_database_url_is_reported_in_one_line(service: ServiceRunner, site: NatsSettings) -> None:
    jobstore = service.prepare("jobstore", site, DatabaseSettings(url=SecretStr("oracle://localhost/x")))
    jobstore.launch()
    assert await jobstore.ended(30) == 2
    assert len(jobstore.log_text.splitlines()) == 1
    assert "JOBTIDE_DATABASE_URL" in jobstore.log_text
