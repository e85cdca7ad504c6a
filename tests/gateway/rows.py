"""Rows as jobstore writes them, for tests of reading."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.roster import Roster
from shared.database.engine import opened, transaction
from shared.database.tables import tables
from shared.domain.clusters import Cluster
from shared.errors import Unavailable
from shared.settings import DatabaseSettings
from tests.support.builders import START_TIME

NODE_COLUMNS: dict[str, Any] = {
    "cluster": "fritz",
    "subcluster": "main",
    "states": "[]",
    "cpus_allocated": 0,
    "memory_allocated": 0,
    "gpus_allocated": 0,
    "jobs_running": 0,
    "report_seq": 1,
    "kept_at": 0,
}


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


def every_node(engine: AsyncEngine) -> Roster:
    """A roster of every stored node, with its reported state."""
    return Roster(engine, no_clusters, time.time, unknown_after_s=0)


def no_clusters() -> Mapping[str, Cluster]:
    raise Unavailable("the definitions were not read")


async def write(database: DatabaseSettings, table: str, rows: Iterable[dict[str, Any]]) -> None:
    async with opened(database) as engine, transaction(engine) as connection:
        await connection.execute(insert(getattr(tables, table)), list(rows))
