"""The lists that people and adapters ask for are found by an index, on both engines."""

import pytest
from sqlalchemy import Select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.identity import User
from services.gateway.live.changes import WHOLE, Span, jobs_statement
from services.gateway.queries.jobs import page_statement, tags_statement
from services.gateway.queries.model import JobFilter, TextMatch
from shared.database.engine import opened, transaction
from shared.settings import DatabaseSettings
from tests.gateway.rows import job_row, write

API = User("feeder", frozenset({"api"}))
ROWS = 3000

STATEMENTS = {
    "all jobs": (page_statement(API, JobFilter(), with_metadata=False).limit(25), "job_start_time"),
    "running jobs": (page_statement(API, JobFilter(states=("running",)), with_metadata=False).limit(1000), "job_running"),
    "jobs of a user": (
        page_statement(User("u7", frozenset({"user"})), JobFilter(), with_metadata=False).limit(25),
        "job_hpc_user_start_time",
    ),
    "jobs of a project": (
        page_statement(API, JobFilter(project=TextMatch.equal("p7")), with_metadata=False).limit(25),
        "job_project_start_time",
    ),
    "changes": (jobs_statement(Span(2000, WHOLE, 2500, 501)), "job_changed_seq"),
    "changes behind one of many that share a sequence": (jobs_statement(Span(2000, 7, 2500, 501)), "job_changed_seq"),
    "tags of a page": (tags_statement(API, [1, 2, 3]), "jobtag"),
}


async def plan_of(connection: AsyncConnection, statement: Select[tuple[object, ...]]) -> str:
    dialect = connection.dialect
    if dialect.name == "postgresql":
        await connection.execute(text("SET LOCAL enable_seqscan = off"))  # small tables are read whole otherwise
    compiled = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(str(row[-1]) for row in await connection.exec_driver_sql(explain + compiled))


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_list_is_found_by_its_index(database: DatabaseSettings, name: str) -> None:
    rows = [
        job_row(
            key,
            hpc_user=f"u{key % 1000}",
            project=f"p{key % 1000}",
            job_state="running" if key % 100 == 0 else "completed",
            changed_seq=key,
        )
        for key in range(1, ROWS + 1)
    ]
    await write(database, "job", rows)
    async with opened(database) as engine:
        async with transaction(engine) as connection:
            await connection.execute(text("ANALYZE"))
        async with transaction(engine) as connection:
            statement, index = STATEMENTS[name]
            plan = await plan_of(connection, statement)
    assert index in plan
    assert "SCAN job\n" not in plan + "\n"
    assert "Seq Scan on job" not in plan
