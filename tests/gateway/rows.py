"""Rows as jobstore would have written them, for tests of reading."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert

from shared.database.engine import opened, transaction
from shared.database.tables import tables
from shared.settings import DatabaseSettings
from tests.support.builders import START_TIME


def job_row(key: int, **columns: Any) -> dict[str, Any]:
    """A stopped job; ``key`` is its database id, and its start is as many seconds after ``START_TIME``."""
    return {
        "id": key,
        "job_id": 1000 + key,
        "cluster": "fritz",
        "subcluster": "main",
        "start_time": START_TIME + key,
        "hpc_user": "ulla",
        "project": "phys-a",
        "job_state": "completed",
        "duration": 60,
        "resources": json.dumps([{"hostname": f"f{key % 900:04d}"}]),
        "num_nodes": 1,
        "shared": "none",
        "monitoring_status": 1,
        "meta_data": json.dumps({"jobName": f"job <{key}>"}),
    } | columns


async def write(database: DatabaseSettings, table: str, rows: Iterable[dict[str, Any]]) -> None:
    async with opened(database) as engine, transaction(engine) as connection:
        await connection.execute(insert(getattr(tables, table)), list(rows))
