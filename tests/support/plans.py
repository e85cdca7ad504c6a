"""What the engines say about how they run a statement."""

import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.engine import transaction
from shared.database.tables import metadata, tables

_JOB_INDEXES = ", ".join(["PRIMARY", "job_identity", *sorted(str(index.name) for index in tables.job.indexes)])


async def analyze(engine: AsyncEngine) -> None:
    """Up-to-date statistics of all tables."""
    statements = [f'ANALYZE TABLE "{name}"' for name in metadata.tables] if engine.dialect.name == "mariadb" else ["ANALYZE"]
    async with transaction(engine) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def explain(connection: AsyncConnection, statement: str, parameters: Any = (), *, is_large: bool = False) -> str:
    """The plan, a line for each step. Those of MariaDB are ``TABLE: TYPE KEY``; a table that is read whole is ``Seq Scan on TABLE``.

    ``is_large``: as if scanning a table were dear, though it is small in the test.
    """
    name = connection.dialect.name
    if is_large and name == "postgresql":
        await connection.exec_driver_sql("SET enable_seqscan = off")
    if is_large and name == "mariadb":
        statement = re.sub(r"\bFROM job(?=\s)", f"FROM job FORCE INDEX ({_JOB_INDEXES})", statement)
    word = "EXPLAIN QUERY PLAN" if name == "sqlite" else "EXPLAIN"
    rows = (await connection.exec_driver_sql(f"{word} {statement}", tuple(parameters))).all()
    if name != "mariadb":
        return "\n".join(str(row[-1]) for row in rows)
    return "\n".join(f"Seq Scan on {row.table}" if row.type == "ALL" else f"{row.table}: {row.type} {row.key}" for row in rows)
