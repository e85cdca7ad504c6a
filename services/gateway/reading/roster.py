"""Which stored nodes still belong to a cluster, and which are still reported.

The node table holds the last report of every node forever. Both are decided at read time, from the current cluster definitions
and the time of the report, so that a rebuild gives the same result.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import ColumnElement, case, literal_column, not_, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import read
from shared.database.sql import one_of
from shared.database.tables import tables
from shared.domain.clusters import Cluster
from shared.errors import Unavailable

node = tables.node.c

REFRESH_S = 1.0
UNKNOWN = "unknown"


class Roster:
    """``clusters`` returns the current definitions, or raises Unavailable; ``clock`` returns Unix time."""

    def __init__(
        self, engine: AsyncEngine, clusters: Callable[[], Mapping[str, Cluster]], clock: Callable[[], float], *, unknown_after_s: float
    ) -> None:
        self._engine = engine
        self._clusters = clusters
        self._clock = clock
        self._unknown_after_s = unknown_after_s
        self._departed: Sequence[int] = ()
        self._read_at = float("-inf")

    async def is_listed(self) -> ColumnElement[bool]:
        """The condition that a node belongs to a cluster now; true for all nodes until the definitions are known. Raises Unavailable."""
        if time.monotonic() - self._read_at >= REFRESH_S:
            self._departed = await self._find_departed()
            self._read_at = time.monotonic()
        return not_(one_of(node.id, self._departed)) if self._departed else true()

    def state(self) -> ColumnElement[str]:
        """The scheduler state: the last reported one, or ``unknown`` if the report is too old."""
        if not self._unknown_after_s:
            return node.node_state
        oldest = int(self._clock() - self._unknown_after_s)
        return case((node.time_stamp < oldest, literal_column(f"'{UNKNOWN}'")), else_=node.node_state)

    async def _find_departed(self) -> Sequence[int]:
        try:
            clusters = self._clusters()
        except Unavailable:
            return ()
        statement = select(node.id, node.cluster, node.hostname)
        rows = await read(self._engine, lambda connection: connection.execute(statement).all())
        return [id_ for id_, name, host in rows if (found := clusters.get(name)) is None or found.subcluster_of(host) is None]
