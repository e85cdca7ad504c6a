"""A log with a different identity, such as a promoted mirror, is recognised by its events."""

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig, StreamSource

from services.jobstore.continue_log import continue_log
from services.jobstore.recognition import adopt
from shared.broker.cursor import log_state
from shared.broker.streams import EVENTS, NODES, provision, stream_configs
from shared.database.engine import opened
from shared.errors import LogMismatch, UserError
from shared.settings import DatabaseSettings, NatsSettings
from tests.cli.sites import jobtide
from tests.jobstore.site import Jobstore, jobstore_settings, running, tell
from tests.jobstore.test_restored_states import LEFT, LOST, caught_up, rebuilt
from tests.support.builders import job_started, nodes_reported
from tests.support.databases import dump, query
from tests.support.processes import ServiceRunner, environment
from tests.support.waiting import until


async def copied(client: Client, source: str, config: StreamConfig, count: int) -> None:
    """A stream with the first ``count`` events of ``source``."""
    js = client.jetstream(timeout=20)
    await js.add_stream(config.evolve(sources=[StreamSource(name=source)], max_msgs=count, discard="new"))

    async def is_complete() -> bool:
        return (await js.stream_info(str(config.name))).state.messages >= count

    await until(is_complete, 20, f"{count} events copied")
    await js.update_stream(config.evolve(sources=[], max_msgs=-1))


async def replace_by_copies(client: Client, nats: NatsSettings, *, lost: int = 0) -> None:
    """Copies of both streams with different identities; EVENTS without its last ``lost`` events."""
    js = client.jetstream(timeout=20)
    for config in stream_configs(nats):
        if config.name not in (nats.stream(EVENTS), nats.stream(NODES)):
            continue
        count = (await log_state(client, config.name)).last_sequence - (lost if config.name == nats.stream(EVENTS) else 0)
        spare = f"{config.name}_SPARE"
        await copied(client, config.name, StreamConfig(name=spare), count)
        await js.delete_stream(config.name)
        await copied(client, spare, config, count)
        await js.delete_stream(spare)


async def applied_site(client: Client, nats: NatsSettings, database: DatabaseSettings) -> None:
    await tell(client, nats, [*LEFT, *LOST, nodes_reported()])
    async with running(nats, database):
        await caught_up(client, nats, database)


async def adopted(client: Client, nats: NatsSettings, database: DatabaseSettings) -> list[str]:
    async with opened(database) as engine:
        return await adopt(client, nats, engine)


async def test_a_copy_of_the_log_is_adopted_on_request(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await applied_site(nats_client, nats_settings, database)
    before = await dump(database, without=("position",))
    await replace_by_copies(nats_client, nats_settings)
    store = Jobstore(jobstore_settings(nats_settings, database))
    store.start()
    failure = await store.failure()
    assert isinstance(failure, LogMismatch)
    assert "--adopt" in str(failure)
    async with opened(database) as engine:
        with pytest.raises(UserError, match="--adopt"):
            await continue_log(nats_client, nats_settings, engine)
    assert [line.split()[0] for line in await adopted(nats_client, nats_settings, database)] == [EVENTS, NODES]
    assert await adopted(nats_client, nats_settings, database) == []
    async with running(nats_settings, database):
        (sequence,) = await tell(nats_client, nats_settings, [job_started(200, monitoring_status=0)], tag="new")
        await caught_up(nats_client, nats_settings, database)
    assert sequence == len(LEFT) + len(LOST) + 1
    after = await dump(database, without=("position",))
    assert [row for row in after["job"] if row[0] != sequence] == before["job"]
    assert {table: rows for table, rows in after.items() if table != "job"} == {t: rows for t, rows in before.items() if t != "job"}


async def test_a_copy_that_lacks_the_end_is_adopted_and_continued(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client
) -> None:
    await applied_site(nats_client, nats_settings, database)
    before = await dump(database, without=("position",))
    await replace_by_copies(nats_client, nats_settings, lost=len(LOST))
    await adopted(nats_client, nats_settings, database)
    async with opened(database) as engine:
        (line,) = await continue_log(nats_client, nats_settings, engine)
    assert "0 events that had not been applied yet" in line
    async with running(nats_settings, database):
        await caught_up(nats_client, nats_settings, database)
    assert await dump(database, without=("position",)) == before
    await rebuilt(nats_client, nats_settings, database)
    assert await dump(database, without=("position",)) == before


@pytest.mark.parametrize("count", [0, 3, 40])
async def test_a_different_log_is_not_adopted(
    database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, count: int
) -> None:
    await applied_site(nats_client, nats_settings, database)
    await nats_client.jetstream(timeout=20).delete_stream(nats_settings.stream(EVENTS))
    await provision(nats_client, nats_settings)
    await tell(nats_client, nats_settings, [job_started(300 + n) for n in range(count)], tag="other")
    with pytest.raises(UserError, match="EVENTS is not a copy"):
        await adopted(nats_client, nats_settings, database)


async def shown(nats: NatsSettings, database: DatabaseSettings, *command: str) -> str:
    """The output of a command, which must succeed."""
    variables: dict[str, Any] = dict(environment((nats, database)))
    done = await asyncio.to_thread(lambda: jobtide(*command, **variables))
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_one_command_repairs_a_site_with_a_copy_that_lacks_the_end(
    sqlite_database: DatabaseSettings, nats_settings: NatsSettings, nats_client: Client, service: ServiceRunner
) -> None:
    await applied_site(nats_client, nats_settings, sqlite_database)
    before = await dump(sqlite_database, without=("position",))
    await replace_by_copies(nats_client, nats_settings, lost=len(LOST))
    jobstore = service.prepare("jobstore", nats_settings, sqlite_database)
    jobstore.launch()
    assert await jobstore.ended(40) == 2
    assert "run `jobtide provision --adopt` to take it over" in jobstore.log_text
    assert await shown(nats_settings, sqlite_database, "provision") == "nothing to change\n"
    changes = await shown(nats_settings, sqlite_database, "provision", "--adopt", "--continue-log")
    assert [line.split(" ")[0] for line in changes.splitlines()] == ["EVENTS", "NODES", "EVENTS"]
    assert "EVENTS was adopted" in changes
    jobstore.launch()
    await jobstore.up()
    await tell(nats_client, nats_settings, [job_started(200, monitoring_status=0)], tag="new")
    await caught_up(nats_client, nats_settings, sqlite_database)
    assert await query(sqlite_database, "SELECT count(*) FROM job WHERE job_id = 200") == [(1,)]
    assert await jobstore.terminate() == 0
    after = await dump(sqlite_database, without=("position",))
    assert [row for row in after["job"] if row in before["job"]] == before["job"]
    assert "rebuilt" in await shown(nats_settings, sqlite_database, "rebuild")
    assert await dump(sqlite_database, without=("position",)) == after
