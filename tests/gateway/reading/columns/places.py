"""The same jobs in SQLite, in PostgreSQL and in columns loaded from each, and the event loop of all of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.columns import ColumnNumbers, Columns
from services.gateway.reading.jobs import JobQueries
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.rows import write
from tests.support.waiting import until

NOW = 1_700_050_000
Rows = list[dict[str, Any]]


@asynccontextmanager
async def loaded(engine: AsyncEngine, numbers: ColumnNumbers | None = None, **settings: Any) -> AsyncIterator[Columns]:
    """Columns that follow a database."""
    stop = asyncio.Event()
    given = {"memory_mb": 256, "threads": 2, "timeout_s": 30.0} | settings
    columns = Columns(engine, numbers or ColumnNumbers(CollectorRegistry()), **given)
    running = asyncio.ensure_future(columns.run(stop))
    try:
        await until_loaded(columns)
        yield columns
    finally:
        stop.set()
        await running


async def until_loaded(columns: Columns) -> None:
    async def is_loaded() -> bool:
        return columns.is_loaded

    await until(is_loaded, 20)


class Places:
    """Queries by the name of the place that answers them."""

    def __init__(self, runner: asyncio.Runner, queries: Mapping[str, JobQueries], registry: CollectorRegistry) -> None:
        self._registry = registry
        self._runner = runner
        self.queries = queries

    def ask(self, method: str, *arguments: Any) -> dict[str, Any]:
        async def each() -> dict[str, Any]:
            return {name: await getattr(queries, method)(*arguments) for name, queries in self.queries.items()}

        return self._runner.run(each())

    def left_to_the_database(self) -> float:
        """The number of queries that the columns could not answer."""
        names = ("away", "failed")
        return sum(self._registry.get_sample_value("jobtide_gateway_column_questions_total", {"result": name}) or 0 for name in names)


@contextmanager
def places(databases: Mapping[str, DatabaseSettings], rows: Mapping[str, Rows]) -> Iterator[Places]:
    registry = CollectorRegistry()
    numbers = ColumnNumbers(registry)

    async def open_all(stack: AsyncExitStack) -> dict[str, JobQueries]:
        queries: dict[str, JobQueries] = {}
        for name, database in databases.items():
            for table, of_table in rows.items():
                await write(database, table, of_table)
            engine = await stack.enter_async_context(opened(database, read_only=True))
            columns = await stack.enter_async_context(loaded(engine, numbers))
            queries[name] = JobQueries(engine, 100, lambda: NOW)
            queries[f"columns of {name}"] = JobQueries(engine, 100, lambda: NOW, columns)
        return queries

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield Places(runner, runner.run(open_all(stack)), registry)
        finally:
            runner.run(stack.aclose())
