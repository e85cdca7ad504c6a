"""The lists that users and adapters request are served by an index, on both engines."""

import re
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.live.changes import WHOLE, Span, jobs_statement
from services.gateway.people.identity import User
from services.gateway.reading.columns.lines import Place, changed_job_lines, changed_jobtag_lines
from services.gateway.reading.filters import conditions, selection
from services.gateway.reading.jobs import TAGS, page_statement
from services.gateway.reading.model import JobFilter, Order, Range, Slice, TextMatch
from services.gateway.reading.routing import database_counts, database_pages
from shared.database.engine import opened, transaction
from shared.database.tables import tables
from shared.settings import DatabaseSettings
from tests.gateway.rows import job_row, write
from tests.support.builders import START_TIME
from tests.support.fixtures import any_database
from tests.support.plans import analyze, explain

database = any_database

API = User("feeder", frozenset({"api"}))
ROWS = 3000

NEWEST, PAGE = Order(), Slice(50)
SOME_TIME = Range(START_TIME + 100, START_TIME + 200)


def page(**criteria: Any) -> Select[Any]:
    """The statement of ``JobQueries.page`` for a filter that the router sends to the database."""
    where = [JobFilter(**criteria)]
    assert database_pages(API, where, NEWEST, PAGE)
    return selection(API, where, NEWEST, PAGE).with_only_columns(*tables.job.c)


def count(**criteria: Any) -> Select[Any]:
    where = [JobFilter(**criteria)]
    assert database_counts(API, where)
    return select(func.count()).select_from(tables.job).where(conditions(API, where))


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
    "page of all jobs": (page(), "job_start_time"),
    "page by user": (page(user=TextMatch.equal("u7")), "job_hpc_user_start_time"),
    "page by user and time": (page(user=TextMatch.equal("u7"), start_time=SOME_TIME), "job_hpc_user_start_time"),
    "page by project": (page(project=TextMatch.equal("p7")), "job_project_start_time"),
    "page by cluster": (page(cluster=TextMatch.equal("c7")), "job_cluster_start_time|job_start_time"),  # few jobs are skipped
    "page by time": (page(start_time=SOME_TIME), "job_start_time"),
    "page of running jobs": (page(states=("running",)), "job_running"),
    "page of a user's own jobs": (
        selection(User("u7", frozenset({"user"})), [], NEWEST, PAGE).with_only_columns(*tables.job.c),
        "job_hpc_user_start_time",
    ),
    "page by job number": (page(job_id=TextMatch.equal("1007")), "job_identity|sqlite_autoindex_job_1"),
    "count by user": (count(user=TextMatch.equal("u7")), "job_hpc_user_start_time"),
    "count of running jobs": (count(states=("running",)), "job_running"),
    "changes for the columns": (changed_job_lines(Place(ROWS, 0), 100).as_one_text(), "job_changed_seq"),
    "tags of changes for the columns": (changed_jobtag_lines(Place(ROWS, 0), 100).as_one_text(), "job_changed_seq"),
    "tags of a page": (
        TAGS.statement.params(jobs=[1, 2, 3], scopes=["global"]),
        "SEARCH jobtag|Scan using jobtag|Scan on jobtag_pkey|jobtag: range PRIMARY",
    ),
}


async def plan_of(connection: AsyncConnection, statement: Select[tuple[object, ...]]) -> str:
    dialect = connection.dialect
    if dialect.name == "mariadb":  # its driver writes the values into the text
        compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        values = {name: convert(compiled.params[name]) for name, convert in compiled._bind_processors.items()}
        parameters = {**compiled.params, **values}
        return await explain(connection, str(compiled), [parameters[name] for name in compiled.positiontup], is_large=True)
    return await explain(connection, str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})), is_large=True)


async def test_lists_are_found_by_their_indexes(database: DatabaseSettings) -> None:
    rows = [
        job_row(
            key,
            cluster=f"c{key % 20}",
            hpc_user=f"u{key % 1000}",
            project=f"p{key % 1000}",
            job_state="running" if key % 100 == 0 else "completed",
            changed_seq=key,
        )
        for key in range(1, ROWS + 1)
    ]
    await write(database, "job", rows)
    async with opened(database) as engine:
        await analyze(engine)
        async with transaction(engine) as connection:
            plans = {name: await plan_of(connection, statement) for name, (statement, _) in STATEMENTS.items()}
    wrong = {
        name: plan
        for name, plan in plans.items()
        if not re.search(STATEMENTS[name][1], plan) or "SCAN job\n" in plan + "\n" or "Seq Scan on job" in plan
    }
    assert wrong == {}
