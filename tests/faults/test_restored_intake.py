"""The intake alone is restored from an older copy, while the log is not: new messages get sequences that were used before."""

import asyncio
import shutil
from pathlib import Path

import pytest

from shared.broker.streams import INTAKE
from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import MakeStack
from tests.support.builders import start_line
from tests.support.databases import query
from tests.support.nats import NatsServer, client_of, publish
from tests.support.verdict import settled
from tests.support.waiting import until


async def last_sequence(site: NatsSettings) -> int:
    async with client_of(site) as client:
        return (await client.jetstream(timeout=30).stream_info(site.stream(INTAKE))).state.last_seq


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_every_message_on_a_used_sequence_takes_effect(
    make_stack: MakeStack, private_nats: NatsServer, private_site: NatsSettings, sqlite_database: DatabaseSettings, tmp_path: Path
) -> None:
    """The log still knows the message ids of the messages that had these sequences."""
    stack = make_stack(private_site, sqlite_database, names=("ingest", "jobstore"))
    await publish(private_site, start_line(1))
    await stack.up()
    await settled(private_site, sqlite_database, published=1)
    await asyncio.to_thread(private_nats.stop)
    (intake,) = (folder for folder in private_nats.store.rglob(private_site.stream(INTAKE)) if folder.is_dir())
    backup = tmp_path / "backup"
    shutil.copytree(intake, backup)
    await asyncio.to_thread(private_nats.start)
    before = [start_line(number) for number in range(2, 7)] + [b"bad line before"]
    await publish(private_site, *before)
    await settled(private_site, sqlite_database, published=1 + len(before))
    await asyncio.to_thread(private_nats.kill)
    shutil.rmtree(intake)
    shutil.copytree(backup, intake)
    await asyncio.to_thread(private_nats.start)
    assert await last_sequence(private_site) == 1
    after = [start_line(number) for number in range(101, 106)] + [b"bad line after", start_line(106)]
    await publish(private_site, *after)
    await until(lambda: query(sqlite_database, "SELECT 1 FROM job WHERE job_id = 106"), 40, "the last message has its job")
    await settled(private_site, sqlite_database)
    jobs = [row[0] for row in await query(sqlite_database, "SELECT job_id FROM job ORDER BY job_id")]
    assert jobs == [*range(1, 7), *range(101, 107)]
    rejections = [row[0] for row in await query(sqlite_database, "SELECT excerpt FROM rejection ORDER BY excerpt")]
    assert rejections == ["bad line after", "bad line before"]
    await stack.down()
