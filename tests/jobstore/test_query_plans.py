"""The queries of the event path use indexes on every engine, so that the cost of an event does not depend on the stored rows."""

from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import Event, HousekeepingDue, JobArchived, JobDeleted, JobMetadataEdited, JobTagged, JobUntagged, Tag, TagRemoved
from tests.jobstore.logs import apply, records
from tests.support.builders import START_TIME, job_started, job_stopped
from tests.support.fixtures import any_database
from tests.support.plans import analyze, explain

database = any_database
ROWS = 3000
TAG = Tag(type="area", name="cfd")


async def fill(engine: AsyncEngine) -> None:
    """Enough rows that no planner prefers a full scan, and up-to-date statistics."""
    await apply(engine, records([job_started(n, start_time=START_TIME + n, tags=[TAG] if n % 3 == 0 else []) for n in range(1, ROWS + 1)]))
    await apply(engine, records([job_stopped(n, start_time=START_TIME + n) for n in range(1, ROWS + 1) if n % 10], first=10_000))
    await apply(engine, records([job_stopped(n) for n in range(20_000, 22_000)], first=20_000))
    refused: list[Event] = [JobDeleted(id=n, cluster="fritz") for n in range(50_000, 52_000)]
    await apply(engine, records(refused, first=30_000))
    await apply(engine, records([job_started(n) for n in range(40_000, 42_000)], first=40_000))
    await apply(engine, records([JobDeleted(id=n, cluster="fritz") for n in range(40_000, 42_000)], first=45_000))
    if engine.dialect.name != "sqlite":  # which has statistics only after `jobtide optimize`
        await analyze(engine)


Statement = tuple[str, Any]
_sequences = count(100_000, 1000)


async def statements_of(engine: AsyncEngine, *events: Event) -> list[Statement]:
    """The statements that the drivers execute when these events are applied."""
    seen: list[Statement] = []

    def listen(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        seen.append((statement, parameters[0] if many else parameters))

    event.listen(Engine, "before_cursor_execute", listen)  # also those over a borrowed connection
    try:
        await apply(engine, records(events, first=next(_sequences)))
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    return [each for each in seen if each[0].split()[0] in ("SELECT", "UPDATE", "DELETE")]


async def plan_of(engine: AsyncEngine, statement: Statement) -> str:
    async with transaction(engine) as connection:
        return await explain(connection, *statement)


def reads_all_of(plan: str, table: str) -> bool:
    lines = plan.splitlines()
    return any(line.strip().removeprefix("-> ").strip().startswith((f"SCAN {table}", f"Seq Scan on {table}")) for line in lines)


EVENTS: dict[str, list[Event]] = {
    "start": [job_started(7, start_time=START_TIME + 900_000)],
    "stop": [job_stopped(10), job_stopped(20, start_time=START_TIME + 20)],
    "start of a waiting stop": [job_started(20_005)],
    "metadata": [JobMetadataEdited(id=5, cluster="fritz", key="k", value="v")],
    "archived": [JobArchived(id=5, cluster="fritz", footprint={}, energy=1, energy_footprint={})],
    "tags": [JobTagged(id=5, cluster="fritz", tags=[TAG]), JobUntagged(id=6, cluster="fritz", tags=[TAG])],
    "deletion": [JobDeleted(id=9, cluster="fritz")],
}


@pytest.fixture
async def filled(engine: AsyncEngine) -> AsyncEngine:
    await fill(engine)
    return engine


async def test_no_event_reads_a_whole_table(filled: AsyncEngine) -> None:
    for says, events in EVENTS.items():
        statements = await statements_of(filled, *events)
        assert statements, says
        for statement in statements:
            plan = await plan_of(filled, statement)
            large = [table.name for table in (tables.job, tables.jobtag, tables.parked_stop, tables.rejection, tables.job_deletion)]
            assert not [table for table in large if reads_all_of(plan, table)], f"{says}: {statement[0]}\n{plan}"


async def test_runs_are_found_by_id_and_rows_by_their_key(filled: AsyncEngine) -> None:
    plans = {text: await plan_of(filled, (text, values)) for text, values in await statements_of(filled, job_stopped(10))}
    (heads,) = [plan for text, plan in plans.items() if text.startswith("SELECT job.id")]
    (update,) = [plan for text, plan in plans.items() if text.startswith("UPDATE job") or 'JOIN "job"' in text]
    assert ("sqlite_autoindex_job_1" if filled.dialect.name == "sqlite" else "job_identity") in heads
    assert {"sqlite": "INTEGER PRIMARY KEY", "postgresql": "job_pkey", "mariadb": "PRIMARY"}[filled.dialect.name] in update


async def test_one_statement_text_serves_batches_of_any_size(filled: AsyncEngine) -> None:
    texts = [
        {text for text, _ in await statements_of(filled, *[job_started(first + n) for n in range(1, jobs)])}
        for first, jobs in ((500_000, 2), (600_000, 30), (700_000, 500))
    ]
    assert texts[0] == texts[1] == texts[2]


async def test_running_jobs_past_their_walltime_are_found_by_index(filled: AsyncEngine) -> None:
    due = HousekeepingDue(parked_stop_ttl_s=10**9, rejection_retention_s=10**9, walltime_grace_s=10**6)
    (statement,) = [each for each in await statements_of(filled, due) if each[0].startswith("SELECT job.id") and "walltime" in each[0]]
    async with transaction(filled) as connection:
        assert "job_running" in await explain(connection, *statement, is_large=True)


async def test_jobs_of_a_removed_tag_are_found_by_index(filled: AsyncEngine) -> None:
    statements = await statements_of(filled, TagRemoved(tag=TAG))
    (delete,) = [statement for statement in statements if statement[0].startswith("DELETE FROM jobtag")]
    (tagged,) = [statement for statement in statements if statement[0].startswith("SELECT jobtag.job_id")]
    if filled.dialect.name == "sqlite":  # PostgreSQL rightly scans a table of which a third is deleted
        assert "jobtag_tag_id" in await plan_of(filled, tagged)
        assert "SEARCH jobtag" in await plan_of(filled, delete)
