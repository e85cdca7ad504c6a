"""The hosts of a cluster, from the node table or from the cluster's configuration."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.filters import lower_ascii
from services.gateway.reading.model import Slice
from services.gateway.reading.roster import Roster
from shared.database.engine import read
from shared.database.functions import ascii_lower, bytewise, holds
from shared.database.tables import tables
from shared.domain.clusters import Cluster

node = tables.node.c
ALL, NOT_IN_DATABASE = "all", "notindb"
NAMES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class HostState:
    """Both are empty if the database has no state of the host."""

    node_state: str = ""
    health: str = ""


@dataclass(frozen=True, slots=True)
class HostFilter:
    """``state`` is a scheduler state, ``all`` or ``notindb``. ``name`` is a part of host names in any case, empty for all."""

    cluster: Cluster
    subcluster: str = ""
    state: str = ALL
    name: str = ""


@dataclass(frozen=True, slots=True)
class HostPage:
    """``total`` counts the matching hosts of all pages."""

    hosts: Sequence[str]
    total: int


class Hosts:
    """All methods raise Unavailable when the database cannot be reached."""

    def __init__(self, engine: AsyncEngine, roster: Roster) -> None:
        self._engine = engine
        self._roster = roster

    async def states(self, cluster: str, hosts: Collection[str]) -> dict[str, HostState]:
        """The states of the hosts that are in the database."""
        names = sorted(hosts)

        def states_of(connection: Connection) -> dict[str, HostState]:
            found: dict[str, HostState] = {}
            for first in range(0, len(names), NAMES_AT_ONCE):
                part = names[first : first + NAMES_AT_ONCE]
                statement = select(node.hostname, self._roster.state(), node.health_state)
                statement = statement.where(node.cluster == cluster, node.hostname.in_(part))
                found.update((name, HostState(state, health)) for name, state, health in connection.execute(statement))
            return found

        return await read(self._engine, states_of)

    async def page(self, wanted: HostFilter, piece: Slice) -> HostPage:
        """Sorted by name. Without a state filter, falls back to the configured hosts if none in the database matches."""
        if wanted.state == NOT_IN_DATABASE:
            known = await self._names(wanted.cluster.name)
            return _cut([host for host in configured(wanted) if host not in known], piece)
        if "\0" in wanted.state + wanted.name:  # PostgreSQL refuses NUL in parameters, and no host name has one
            return HostPage((), 0)
        condition = and_(await self._roster.is_listed(), _condition(wanted, self._roster.state()))
        statement = select(node.hostname).where(condition).order_by(bytewise(node.hostname)).offset(piece.first)

        def page_of(connection: Connection) -> tuple[list[str], int]:
            total = connection.scalar(select(func.count()).select_from(tables.node).where(condition))
            return list(connection.scalars(statement if piece.limit is None else statement.limit(piece.limit))), int(total or 0)

        hosts, total = await read(self._engine, page_of)
        if not total and wanted.state == ALL:
            return _cut(configured(wanted), piece)
        return HostPage(hosts, total)

    async def _names(self, cluster: str) -> set[str]:
        statement = select(node.hostname).where(node.cluster == cluster)
        return await read(self._engine, lambda connection: set(connection.scalars(statement)))


def _condition(wanted: HostFilter, state: ColumnElement[str]) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [node.cluster == wanted.cluster.name]
    if wanted.subcluster:
        parts.append(node.subcluster == wanted.subcluster)
    if wanted.state != ALL:
        parts.append(state == wanted.state)
    if wanted.name:
        parts.append(holds(ascii_lower(node.hostname), literal(lower_ascii(wanted.name))))
    return and_(*parts)


def configured(wanted: HostFilter) -> list[str]:
    """The hosts in the node lists of the cluster, sorted."""
    part = lower_ascii(wanted.name)
    return sorted(
        {
            host
            for subcluster in wanted.cluster.sub_clusters
            if wanted.subcluster in ("", subcluster.name)
            for host in subcluster.hosts
            if part in lower_ascii(host)
        }
    )


def _cut(hosts: list[str], piece: Slice) -> HostPage:
    end = None if piece.limit is None else piece.first + piece.limit
    return HostPage(hosts[piece.first : end], len(hosts))
