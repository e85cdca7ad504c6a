"""Changes as jobstore writes them: rows and the position in one transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.broker.streams import EVENTS, NODES
from shared.database.engine import transaction
from shared.database.tables import tables
from tests.gateway.rows import job_row


class Projected:
    """``events`` and ``nodes`` are the positions; every method is one batch."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.events = 0
        self.nodes = 0

    async def begin(self, created: str = "2026-01-01T00:00:00Z") -> None:
        async with transaction(self._engine) as connection:
            for table in (tables.position, tables.job, tables.job_deletion, tables.node):
                await connection.execute(delete(table))
            rows = [{"stream": stream, "sequence": 0, "stream_created": created, "event_time": 0.0} for stream in (EVENTS, NODES)]
            await connection.execute(insert(tables.position), rows)
        self.events = self.nodes = 0

    async def start(self, *keys: int, **columns: Any) -> None:
        """One event for each job."""
        rows = [job_row(key, changed_seq=self.events + number, **columns) for number, key in enumerate(keys, 1)]
        async with transaction(self._engine) as connection:
            await connection.execute(insert(tables.job), rows)
            await self._move(connection, events=len(keys))

    async def change(self, *keys: int, **columns: Any) -> None:
        """One event that changes all the jobs."""
        async with transaction(self._engine) as connection:
            changed = update(tables.job).where(tables.job.c.id.in_(keys))
            await connection.execute(changed.values(changed_seq=self.events + 1, **columns))
            await self._move(connection, events=1)

    async def remove(self, key: int, user: str = "ulla", project: str = "phys-a") -> None:
        row = {"seq": self.events + 1, "job": key, "cluster": "fritz", "hpc_user": user, "project": project}
        async with transaction(self._engine) as connection:
            await connection.execute(delete(tables.job).where(tables.job.c.id == key))
            await connection.execute(insert(tables.job_deletion), [row])
            await self._move(connection, events=1)

    async def report(self, hosts: Sequence[str], state: str = "idle") -> None:
        """One event about all the nodes, which replaces their existing rows."""
        async with transaction(self._engine) as connection:
            await connection.execute(delete(tables.node).where(tables.node.c.hostname.in_(hosts)))
            await connection.execute(insert(tables.node), [node_row(host, self.nodes + 1, state) for host in hosts])
            await self._move(connection, nodes=1)

    async def go_back(self, events: int) -> None:
        self.events = events
        async with transaction(self._engine) as connection:
            await self._move(connection)

    async def _move(self, connection: AsyncConnection, *, events: int = 0, nodes: int = 0) -> None:
        self.events, self.nodes = self.events + events, self.nodes + nodes
        for stream, sequence in ((EVENTS, self.events), (NODES, self.nodes)):
            await connection.execute(update(tables.position).where(tables.position.c.stream == stream).values(sequence=sequence))


def node_row(host: str, sequence: int, state: str) -> dict[str, Any]:
    return {
        "id": sum(map(ord, host)) * 1000 + int(host[1:]),
        "hostname": host,
        "cluster": "fritz",
        "subcluster": "main",
        "time_stamp": 1_700_000_000,
        "node_state": state,
        "states": "[]",
        "cpus_allocated": 0,
        "memory_allocated": 0,
        "gpus_allocated": 0,
        "jobs_running": 0,
        "report_seq": sequence,
        "kept_at": 0,
        "changed_seq": sequence,
    }
