"""Reading nodes and the history of their states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, false, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.queries.filters import lower_ascii, require_few
from services.gateway.queries.model import TextMatch
from services.gateway.queries.source import ascii_lower, begins, ends, holds
from shared.database.reading import read
from shared.database.tables import tables

node, node_state, node_health = tables.node.c, tables.node_state.c, tables.node_health.c

StateKind = Literal["node", "health"]


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Nodes that meet everything that is given; ``after`` is a Unix time and only of the history."""

    ids: tuple[int, ...] | None = None
    hostname: TextMatch | None = None
    cluster: TextMatch | None = None
    subcluster: TextMatch | None = None
    scheduler_state: str | None = None
    health_state: str | None = None
    after: int | None = None


_PARTS = {"starts_with": begins, "ends_with": ends, "contains": holds}


def _text(column: ColumnElement[str], match: TextMatch | None) -> ColumnElement[bool]:
    if match is None:
        return true()
    values = [value for value in match.values if "\0" not in value and value.isprintable()]
    if match.operator == "in":
        return column.in_(values)
    if not values:
        return true() if match.operator == "neq" else false()
    (value,) = values
    if match.operator == "eq":
        return column == value
    if match.operator == "neq":
        return column != value
    return _PARTS[match.operator](ascii_lower(column), lower_ascii(value)) if value else true()


def _is(column: ColumnElement[str], state: str | None) -> ColumnElement[bool]:
    if state is None:
        return true()
    return false() if "\0" in state else column == state  # PostgreSQL refuses what it could not hold


def _identity(wanted: NodeFilter) -> ColumnElement[bool]:
    columns = (("hostname", node.hostname), ("cluster", node.cluster), ("subcluster", node.subcluster))
    of_ids = true() if wanted.ids is None else node.id.in_(wanted.ids)
    return and_(of_ids, *(_text(column, getattr(wanted, name)) for name, column in columns))


def _latest(where: Sequence[NodeFilter]) -> ColumnElement[bool]:
    """By the states as last reported."""
    require_few(where)
    parts = [true(), *map(_identity, where)]
    parts += [_is(node.node_state, wanted.scheduler_state) for wanted in where]
    parts += [_is(node.health_state, wanted.health_state) for wanted in where]
    return and_(*parts)


class NodeQueries:
    """Every method raises Unavailable when the database is away, RequestError (400) when filters are too many or too long."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self, where: Sequence[NodeFilter]) -> Sequence[Row[Any]]:
        """Rows of ``node`` by host name."""
        statement = select(tables.node).where(_latest(where)).order_by(node.hostname, node.cluster)
        return await read(self._engine, lambda connection: connection.execute(statement).all())

    async def by_id(self, key: int) -> Row[Any] | None:
        statement = select(tables.node).where(node.id == key)
        return await read(self._engine, lambda connection: connection.execute(statement).one_or_none())

    async def count(self, where: Sequence[NodeFilter], kind: StateKind) -> list[tuple[str, int]]:
        """How many nodes are in each state, by its name."""
        state = node.node_state if kind == "node" else node.health_state
        statement = select(state, func.count()).where(_latest(where)).group_by(state).order_by(state)
        return await read(self._engine, lambda connection: [(name, nodes) for name, nodes in connection.execute(statement)])

    async def history(self, where: Sequence[NodeFilter], kind: StateKind) -> list[tuple[str, int, int]]:
        """State, time and number of nodes for which it was recorded then, by state and time."""
        table = tables.node_state if kind == "node" else tables.node_health
        state = node_state.node_state if kind == "node" else node_health.health_state
        time = table.c.time_stamp
        require_few(where)
        parts = [true(), *map(_identity, where)]
        for wanted in where:
            state_wanted, other = wanted.scheduler_state, wanted.health_state
            if kind == "health":
                state_wanted, other = other, state_wanted
            parts.append(_is(state, state_wanted))
            parts.append(_is(node.health_state if kind == "node" else node.node_state, other))
            if wanted.after is not None:
                parts.append(time > wanted.after)
        joined = table.join(tables.node, node.id == table.c.node_id)
        statement = select(state, time, func.count()).select_from(joined).where(and_(*parts)).group_by(state, time).order_by(state, time)
        return await read(self._engine, lambda connection: [(name, at, nodes) for name, at, nodes in connection.execute(statement)])
