"""Tables from older rules may differ from what the log would give now; status and readiness report it."""

import asyncio
import hashlib

from aiohttp import ClientSession
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.position import Positions
from shared.broker.cursor import LogState
from shared.broker.streams import EVENTS
from shared.database.engine import opened, transaction
from shared.database.schema import RULES, older_rules, require_present_rules
from shared.database.tables import tables
from shared.health import Health, serve_health
from shared.settings import DatabaseSettings
from tests.jobstore.logs import apply, records
from tests.jobstore.test_rebuild import random_events
from tests.support.databases import query

VERSION = (6, "c746f98884d9295b")  # and the digest of the rows that a sample log gives
SHOWN = {
    "job": "id, job_id, cluster, start_time, job_state, duration, monitoring_status, stop_seq, is_overdue, meta_data,"
    " job_name, advice, archiving_failure, changed_seq",
    "jobtag": "job_id, tag_id",
    "parked_stop": "seq, was_applied",
    "rejection": "seq, code",
    "job_deletion": "seq, job",
}
WARNING = f"the tables began with version 0 of the rules, the present one is {RULES}: run `jobtide rebuild`"


async def begin(engine: AsyncEngine) -> None:
    async def log() -> LogState:
        return LogState("2026", 1, 0)

    await Positions(tables, EVENTS).begin(engine, log, may_skip=False)


async def make_older(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await connection.execute(update(tables.position).values(rules=0))


async def test_the_version_is_raised_when_a_log_gives_other_rows(sqlite_database: DatabaseSettings) -> None:
    async with opened(sqlite_database) as engine:
        await apply(engine, records(random_events(seed=7, count=800)))
    rows = [await query(sqlite_database, f"SELECT {columns} FROM {table} ORDER BY {columns}") for table, columns in SHOWN.items()]
    assert (RULES, hashlib.sha256(repr(rows).encode()).hexdigest()[:16]) == VERSION


async def test_new_tables_have_the_current_version_of_the_rules(engine: AsyncEngine) -> None:
    assert await older_rules(engine) is None
    await begin(engine)
    assert await older_rules(engine) is None


async def test_the_warning_about_older_rules_names_the_remedy(engine: AsyncEngine) -> None:
    await begin(engine)
    await make_older(engine)
    assert await older_rules(engine) == WARNING


async def test_a_service_over_tables_of_older_rules_is_ready_and_says_so(sqlite_database: DatabaseSettings) -> None:
    health = Health("jobstore")
    async with opened(sqlite_database) as engine, serve_health(health, "127.0.0.1:0") as address, ClientSession() as client:
        await begin(engine)
        await make_older(engine)
        health.remark("rules", lambda: require_present_rules(engine))
        async with asyncio.timeout(30), client.get(f"http://{address}/readyz") as answer:
            assert (answer.status, await answer.json()) == (200, {"service": "jobstore", "ready": True, "failing": {"rules": WARNING}})
        async with asyncio.timeout(30), client.get(f"http://{address}/metrics") as answer:
            assert 'jobtide_check_failing{check="rules"} 1.0' in await answer.text()
