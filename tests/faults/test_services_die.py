"""Processes that are killed, stopped, doubled or absent change nothing about what the events come to."""

import asyncio
import random

import pytest

from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import Prepare
from tests.support.adapter import load, publish_accepted
from tests.support.databases import dump
from tests.support.verdict import assert_one_effect_each, settled
from tests.support.workload import workload

SERVICES = ("ingest", "jobstore")
KILLS = 25  # of each database


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_killing_any_service_at_any_moment_loses_and_doubles_nothing(
    prepare: Prepare, site: NatsSettings, database: DatabaseSettings
) -> None:
    dice = random.Random(50)
    plan = workload(seed=1, jobs=1500)
    services = [prepare(name, site, database) for name in SERVICES]
    for service in services:
        service.launch()
    async with load(site, plan.messages, over_s=KILLS * 1.2):
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.2, 1.6))  # the moment is what is random here
            victim = dice.choice(services)
            victim.kill9()
            victim.launch()
    await settled(site, database)
    await assert_one_effect_each(plan, database)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_two_replicas_of_each_service_do_the_work_of_one(prepare: Prepare, site: NatsSettings, database: DatabaseSettings) -> None:
    plan = workload(seed=2, jobs=600)
    services = [prepare(name, site, database) for name in SERVICES * 2]
    for service in services:
        service.launch()
    await publish_accepted(site, plan.messages, over_s=4)
    await settled(site, database)
    await assert_one_effect_each(plan, database)
    for service in services:
        assert await service.terminate() == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_events_published_while_every_service_is_down_are_waited_for(
    prepare: Prepare, site: NatsSettings, database: DatabaseSettings
) -> None:
    plan = workload(seed=3, jobs=400)
    half = len(plan.messages) // 2
    services = [prepare(name, site, database) for name in SERVICES]
    for service in services:
        service.launch()
    await publish_accepted(site, plan.messages[:half])
    await settled(site, database)
    for service in services:
        assert await service.terminate() == 0
    await publish_accepted(site, plan.messages[half:], over_s=3)
    for service in services:
        service.launch()
    await settled(site, database)
    await assert_one_effect_each(plan, database)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_terminated_service_ends_soon_and_leaves_its_batch_to_the_next(
    prepare: Prepare, site: NatsSettings, database: DatabaseSettings
) -> None:
    dice = random.Random(4)
    plan = workload(seed=4, jobs=800)
    services = [prepare(name, site, database) for name in SERVICES]
    for service in services:
        service.launch()
    for service in services:
        await service.up()
    async with load(site, plan.messages, over_s=8):
        for service in services * 3:
            await asyncio.sleep(dice.uniform(0.1, 0.6))  # the moment is what is random here
            assert await service.terminate(deadline_s=5) == 0, service.log_text[-2000:]
            service.launch()
            await service.up()
    await settled(site, database)
    await assert_one_effect_each(plan, database)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_messages_that_come_twice_and_in_any_order_change_nothing(
    prepare: Prepare, site: NatsSettings, database: DatabaseSettings
) -> None:
    plan = workload(seed=5, jobs=400)
    services = [prepare(name, site, database) for name in SERVICES]
    for service in services:
        service.launch()
    await publish_accepted(site, plan.messages)
    await settled(site, database)
    before = await dump(database, without=("position", "rejection", "node", "node_state"))
    await publish_accepted(site, plan.again(seed=1))
    await publish_accepted(site, plan.again(seed=2))
    await settled(site, database)
    await assert_one_effect_each(plan, database, copies=3)
    assert await dump(database, without=("position", "rejection", "node", "node_state")) == before


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_messages_in_any_order_come_to_the_same(prepare: Prepare, site: NatsSettings, database: DatabaseSettings) -> None:
    plan = workload(seed=6, jobs=400)
    for name in SERVICES:
        prepare(name, site, database).launch()
    await publish_accepted(site, plan.again(seed=1))
    await settled(site, database)
    await assert_one_effect_each(plan, database)
