"""`jobtide optimize`: what each database engine offers to tidy up its tables."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.commands.archive_tools import print_json, size_text
from cli.progress import progress_bar
from cli.site import find_site
from shared.archive.places import present_store
from shared.archive.sqlite import SqliteStore
from shared.database.dialects import dialect_of
from shared.database.engine import away_as_unavailable, opened
from shared.database.schema import require_schema
from shared.database.tables import metadata


def run_optimize(data: Path | None, *, as_json: bool) -> None:
    """Works while the services run; over SQLite they wait for it. Raises Unavailable."""
    site = find_site(data)

    async def run() -> tuple[int, int]:
        async with AsyncExitStack() as stack:
            bar = stack.enter_context(progress_bar("optimizing"))
            engine = await stack.enter_async_context(opened(site.database, maintenance=True, connections=1))
            await require_schema(engine)
            before = await _size(engine)
            steps = dialect_of(engine).tidying(list(metadata.tables))
            for number, (what, statement) in enumerate(steps):
                bar(number, len(steps), what)
                await _execute(engine, statement)
            bar(len(steps), len(steps))
            return before, await _size(engine)

    before, after = asyncio.run(run())
    archives = [part for part in present_store(site.archive).parts() if isinstance(part, SqliteStore)]
    for archive in archives:
        archive.vacuum()
    if as_json:
        print_json({"bytesBefore": before, "bytesAfter": after, "archives": [archive.address for archive in archives]})
        return
    print(f"the database has {size_text(after)}, {size_text(before)} before")
    for archive in archives:
        print(f"{archive.address} is compacted")


async def _execute(engine: AsyncEngine, statement: str) -> None:
    with away_as_unavailable():
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await dialect_of(engine).tidy(driver, statement)


async def _size(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.exec_driver_sql(dialect_of(engine).size_query)).scalar_one())
