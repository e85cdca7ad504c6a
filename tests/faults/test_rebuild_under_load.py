"""A rebuild while jobstore and readers run, and a killed rebuild."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest

from services.jobstore.rebuild import rebuild
from services.jobstore.settings import Settings as JobstoreServiceSettings
from shared.database.engine import opened
from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import MakeStack
from tests.support.adapter import load, publish_accepted
from tests.support.processes import REPOSITORY, environment
from tests.support.rest import ask
from tests.support.stack import Stack
from tests.support.verdict import RULES, settled
from tests.support.waiting import pause, until
from tests.support.workload import workload

REBUILDS = 3


async def _rebuild(settings: NatsSettings, database: DatabaseSettings) -> None:
    client = await nats.connect(settings.url)
    try:
        async with opened(database) as engine:
            everything = JobstoreServiceSettings(settings, database, RULES)
            await rebuild(client, engine, everything, [], lambda stream, done, total: None)
    finally:
        await client.close()


@asynccontextmanager
async def _reading(stack: Stack) -> AsyncIterator[list[int]]:
    """A reader of the API that must see no error, nor fewer jobs than before; yields its counts."""
    counts = [0]

    async def read() -> None:
        while True:
            status, answer = await ask(stack["gateway"], "GET", "/api/jobs/?items-per-page=100000&page=1&with-metadata=false")
            assert status == 200, answer
            assert len(answer["jobs"]) >= counts[-1], f"{len(answer['jobs'])} jobs after {counts[-1]}"
            counts.append(len(answer["jobs"]))
            await pause()

    task = asyncio.create_task(read())
    try:
        yield counts
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError), result


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_rebuild_does_not_disturb_running_services(make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings) -> None:
    plan = workload(seed=31, jobs=800)
    stack = make_stack(site, database)
    await stack.up()
    async with _reading(stack) as counts, load(site, plan.messages, over_s=6):
        for _ in range(REBUILDS):
            seen = len(counts)
            await until(lambda seen=seen: len(counts) > seen + 3, 20)  # type: ignore[misc]
            await _rebuild(site, database)
        await until(lambda: counts[-1] > 0, 20)
    await stack.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_killed_rebuild_leaves_the_tables_in_use_unchanged(
    make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings
) -> None:
    plan = workload(seed=32, jobs=1500)
    stack = make_stack(site, database)
    await stack.up()
    await publish_accepted(site, plan.messages)
    await settled(site, database)
    for after_s in (0.9, 1.1, 1.4):  # starting takes about a second
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _REBUILD_PROGRAM,
            cwd=REPOSITORY,
            env={"PATH": ""} | environment([site, database, RULES]),
        )
        with pytest.raises(TimeoutError):  # it rebuilds repeatedly until killed
            await asyncio.wait_for(process.wait(), after_s)
        process.kill()
        await process.wait()
    await stack.verify(plan)


_REBUILD_PROGRAM = """
import asyncio, nats
from services.jobstore.rebuild import rebuild
from services.jobstore.settings import load_settings
from shared.database.engine import opened

async def main():
    settings = load_settings()
    client = await nats.connect(settings.nats.url)
    async with opened(settings.database) as engine:
        while True:
            await rebuild(client, engine, settings, [], lambda stream, done, total: None)

asyncio.run(main())
"""
