"""Events have the same effect when processes are killed, stopped, replicated or absent.

``JOBTIDE_TEST_KILLS=25 .venv/bin/pytest tests/faults/test_services_die.py`` kills more often.
"""

import asyncio
import os
import random
import resource

import pytest

from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import MakeStack
from tests.support.adapter import load, publish_accepted
from tests.support.builders import start_line
from tests.support.databases import dump
from tests.support.nats import client_of, publish
from tests.support.processes import ServiceRunner
from tests.support.rest import rest_jobs, submit
from tests.support.stack import ALL, Stack
from tests.support.verdict import settled
from tests.support.waiting import until
from tests.support.workload import workload

KILLS = int(os.environ.get("JOBTIDE_TEST_KILLS", "12"))  # on each database
ARRIVAL = ("position", "rejection", "node", "node_state")  # tables whose rows depend on when and how often a message arrived


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_killing_any_service_at_any_moment_neither_loses_nor_duplicates_events(stack: Stack) -> None:
    dice = random.Random(50)
    plan = workload(seed=1, jobs=1500)
    over_rest = rest_jobs(first_job_id=1_000_000, count=40)
    plan.jobs |= set(over_rest)
    await stack.up()
    submitting = asyncio.create_task(submit(stack["gateway"], over_rest))
    async with load(stack.nats, plan.messages, over_s=KILLS * 1.0):
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.2, 1.6))  # the moment is what is random here
            victim = dice.choice(stack.services)
            victim.kill9()
            victim.launch()
    await submitting
    await stack.up()
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_no_run_of_a_requeued_job_is_lost_while_two_ingests_are_killed(
    make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings
) -> None:
    dice = random.Random(51)
    plan = workload(seed=8, jobs=900)
    stack = make_stack(site, database, names=("ingest", "ingest", "jobstore"))
    await stack.up()
    ingests = [service for service in stack.services if service.name == "ingest"]
    async with load(site, plan.messages, over_s=2 * KILLS * 0.5):
        for _ in range(2 * KILLS):
            await asyncio.sleep(dice.uniform(0.1, 0.8))  # the moment is what is random here
            victim = dice.choice(ingests)
            victim.kill9()
            victim.launch()
    await stack.up()
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_two_replicas_of_each_service_do_the_work_of_one(
    make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings
) -> None:
    plan = workload(seed=2, jobs=600)
    stack = make_stack(site, database, names=ALL * 2)
    stack.launch()
    await publish_accepted(site, plan.messages, over_s=4)
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_events_published_while_every_service_is_down_are_processed_later(
    make_stack: MakeStack, site: NatsSettings, sqlite_database: DatabaseSettings
) -> None:
    stack = make_stack(site, sqlite_database)
    plan = workload(seed=3, jobs=400)
    half = len(plan.messages) // 2
    await stack.up()
    await publish_accepted(stack.nats, plan.messages[:half])
    await settled(stack.nats, stack.database)
    await stack.down()
    await publish_accepted(stack.nats, plan.messages[half:], over_s=3)
    await stack.up()
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_terminated_service_exits_soon_and_hands_back_its_batch(
    make_stack: MakeStack, site: NatsSettings, postgres_database: DatabaseSettings
) -> None:
    stack = make_stack(site, postgres_database)
    dice = random.Random(4)
    plan = workload(seed=4, jobs=800)
    await stack.up()
    async with load(stack.nats, plan.messages, over_s=8):
        for service in stack.services * 2:
            await asyncio.sleep(dice.uniform(0.1, 0.6))  # the moment is what is random here
            assert await service.terminate() == 0, service.log_text[-2000:]
            service.launch()
            await service.up()
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_repeated_messages_in_any_order_change_nothing(make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings) -> None:
    plan = workload(seed=5, jobs=400)
    stack = make_stack(site, database, names=("ingest", "jobstore"))
    stack.launch()
    await publish_accepted(site, plan.messages)
    await settled(site, database)
    before = await dump(database, without=ARRIVAL)
    await publish_accepted(site, plan.again(seed=1))
    await publish_accepted(site, plan.again(seed=2))
    await settled(site, database)
    assert await dump(database, without=ARRIVAL) == before
    await stack.verify(plan, copies=3)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_messages_in_any_order_give_the_same_rows(stack: Stack) -> None:
    plan = workload(seed=6, jobs=400)
    stack.launch()
    await publish_accepted(stack.nats, plan.again(seed=1))
    await stack.verify(plan)


async def test_a_log_file_that_cannot_be_written_does_not_stop_a_service(site: NatsSettings, service: ServiceRunner) -> None:
    ingest = await service.start("ingest", site)
    resource.prlimit(ingest.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    async with client_of(site) as client:
        js = client.jetstream()
        await js.delete_consumer(site.stream("INTAKE"), "ingest")  # ingest logs this
        await publish(site, start_line(1))

        async def has_event() -> bool:
            return (await js.stream_info(site.stream("EVENTS"))).state.last_seq == 1

        await until(has_event, 30)
    assert await ingest.terminate() == 0
    assert ingest.log_lines("intake_consumer_lost") == []
