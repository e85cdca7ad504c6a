"""Reading nodes and the history of their states."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, Select, and_, case, false, func, literal, null, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.filters import lower_ascii, require_few
from services.gateway.reading.model import TextMatch
from services.gateway.reading.source import ascii_lower, begins, ends, holds
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
        """State, time and number of nodes that were in it then, by state and time, wherever there are any.

        The times are those at which something was recorded of one of the nodes. Others count with the state recorded last: what
        does not change is not recorded each time. Not beyond their last report, though: what became of them then is not known.
        Filters of the other kind of state are those of the present.
        """
        require_few(where)
        wanted, others, of_node = ("scheduler_state", "health_state", node.health_state)
        if kind == "health":
            wanted, others, of_node = ("health_state", "scheduler_state", node.node_state)
        chosen = and_(true(), *map(_identity, where), *(_is(of_node, getattr(item, others)) for item in where))
        after = max((item.after for item in where if item.after is not None), default=-1)
        statement = _changes(kind, chosen, after)
        found = await read(self._engine, lambda connection: connection.execute(statement).all())
        states = {getattr(item, wanted) for item in where} - {None}
        return [row for row in _counted(found, after) if not states or states == {row[0]}]


def _changes(kind: StateKind, chosen: ColumnElement[bool], after: int) -> Select[Any]:
    """Time, state, by how much its nodes become more then, and how many rows were recorded; by time, from what held at ``after``."""
    table = tables.node_state if kind == "node" else tables.node_health
    rows, earlier = table.c, table.alias("earlier").c
    state = node_state.node_state if kind == "node" else node_health.health_state
    held = select(func.max(earlier.time_stamp)).where(earlier.node_id == node.id, earlier.time_stamp <= after).scalar_subquery()
    chosen_nodes = select(node.id, node.time_stamp, func.coalesce(held, after).label("since")).where(chosen)
    nodes = chosen_nodes.cte("nodes").prefix_with("MATERIALIZED", dialect="postgresql")  # or each row would look for it anew
    following = func.lead(rows.time_stamp).over(partition_by=rows.node_id, order_by=(rows.time_stamp, rows.id))
    latest = nodes.c.time_stamp + 1 if kind == "node" else null()  # when a check came last is not known
    is_instant = following == rows.time_stamp  # what was recorded counts at its time
    ends = case((is_instant, rows.time_stamp + 1), else_=func.coalesce(following, latest))
    joined = table.join(nodes, and_(rows.node_id == nodes.c.id, rows.time_stamp >= nodes.c.since))
    spans = select(rows.time_stamp.label("begins"), ends.label("ends"), state.label("state")).select_from(joined).subquery("spans").c
    changes = union_all(
        select(spans.begins.label("time"), spans.state, literal(1).label("change"), literal(1).label("rows")),
        select(spans.ends, spans.state, literal(-1), literal(0)).where(spans.ends.is_not(None)),
    ).subquery("changes")
    time, of_state = changes.c.time, changes.c.state
    return select(time, of_state, func.sum(changes.c.change), func.sum(changes.c.rows)).group_by(time, of_state).order_by(time)


def _counted(changes: Iterable[Any], after: int) -> list[tuple[str, int, int]]:
    nodes: Counter[str] = Counter()
    counted: list[tuple[str, int, int]] = []
    for time, several in groupby(changes, itemgetter(0)):
        recorded = 0
        for _, state, change, rows in several:
            nodes[state] += int(change)
            recorded += int(rows)
        if recorded and time > after:
            counted += [(state, time, count) for state, count in nodes.items() if count]
    return sorted(counted)
