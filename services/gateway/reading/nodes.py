"""Reads nodes and their state history."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
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
MAX_HOLD_S = 900  # adapters report every few minutes, and not at the same time for all clusters


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Nodes that match every given field; ``after`` is a Unix time and applies to the history only."""

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
    """Conditions on the last reported states."""
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
        """The number of nodes by state."""
        state = node.node_state if kind == "node" else node.health_state
        statement = select(state, func.count()).where(_latest(where)).group_by(state).order_by(state)
        return await read(self._engine, lambda connection: [(name, nodes) for name, nodes in connection.execute(statement)])

    async def history(self, where: Sequence[NodeFilter], kind: StateKind) -> list[tuple[str, int, int]]:
        """Points (state, time, number of nodes) by state and time; straight lines between them are within 1 s of the truth.

        There are points at the start of the window (``after``) and at each recorded time in it, 1 s before and at each change, and at
        the latest report. Unchanged states are recorded rarely, so nodes without a record at some time count with their previous
        state, until their own last report; those of a cluster's last report count until the latest report of all, if it is at
        most ``MAX_HOLD_S`` later. A count of 0 appears only next to a change. Filters of the other kind of state are those of now.
        """
        require_few(where)
        wanted, others, of_node = ("scheduler_state", "health_state", node.health_state)
        if kind == "health":
            wanted, others, of_node = ("health_state", "scheduler_state", node.node_state)
        chosen = and_(true(), *map(_identity, where), *(_is(of_node, getattr(item, others)) for item in where))
        after = max((item.after for item in where if item.after is not None), default=-1)
        changes, latest = await read(
            self._engine,
            lambda connection: (
                connection.execute(_changes(kind, chosen, after)).all(),
                connection.execute(select(func.max(node.time_stamp)).where(chosen)).scalar(),
            ),
        )
        states = {getattr(item, wanted) for item in where} - {None}
        return [point for point in _points(changes, after, latest or 0) if not states or states == {point[0]}]


def _changes(kind: StateKind, chosen: ColumnElement[bool], after: int) -> Select[Any]:
    """Rows (time, state, change of its count, records at that time) by time, beginning with the states that held at ``after``."""
    table = tables.node_state if kind == "node" else tables.node_health
    rows, earlier = table.c, table.alias("earlier").c
    state = node_state.node_state if kind == "node" else node_health.health_state
    held = select(func.max(earlier.time_stamp)).where(earlier.node_id == node.id, earlier.time_stamp <= after).scalar_subquery()
    of_cluster, of_all = func.max(node.time_stamp).over(partition_by=node.cluster), func.max(node.time_stamp).over()
    is_current = and_(node.time_stamp == of_cluster, of_all - node.time_stamp <= MAX_HOLD_S)
    until = case((is_current, null()), else_=node.time_stamp + 1)
    chosen_nodes = select(node.id, until.label("until"), func.coalesce(held, after).label("since")).where(chosen)
    nodes = chosen_nodes.cte("nodes").prefix_with("MATERIALIZED", dialect="postgresql")  # or each row would look for it anew
    following = func.lead(rows.time_stamp).over(partition_by=rows.node_id, order_by=(rows.time_stamp, rows.id))
    latest = nodes.c.until if kind == "node" else null()  # the time of the last check is not stored
    is_instant = following == rows.time_stamp  # each record counts at its time, also when another one has the same
    ends = case((is_instant, rows.time_stamp + 1), else_=func.coalesce(following, latest))
    joined = table.join(nodes, and_(rows.node_id == nodes.c.id, rows.time_stamp >= nodes.c.since))
    spans = select(rows.time_stamp.label("begins"), ends.label("ends"), state.label("state")).select_from(joined).subquery("spans").c
    changes = union_all(
        select(spans.begins.label("time"), spans.state, literal(1).label("change"), literal(1).label("rows")),
        select(spans.ends, spans.state, literal(-1), literal(0)).where(spans.ends.is_not(None)),
    ).subquery("changes")
    time, of_state = changes.c.time, changes.c.state
    return select(time, of_state, func.sum(changes.c.change), func.sum(changes.c.rows)).group_by(time, of_state).order_by(time)


def _points(changes: Iterable[Any], after: int, latest: int) -> list[tuple[str, int, int]]:
    """By state and time; ``changes`` as from ``_changes``, from those that precede the window on."""
    counts: Counter[str] = Counter()
    points: dict[tuple[str, int], int] = {}

    def add(time: int, numbers: Mapping[str, int], changed: Collection[str] = ()) -> None:
        for state, count in numbers.items():
            if count or state in changed:
                points[state, time] = count

    end = after  # of the points so far
    for time, group in groupby(changes, itemgetter(0)):
        if time > latest:
            break
        before, recorded = counts.copy(), 0
        for _, state, change, rows in group:
            counts[state] += int(change)
            recorded += int(rows)
        if time <= after:
            continue
        changed = {state for state, count in counts.items() if count != before[state]}
        if end == after >= 0:
            add(after, before)
        if changed and time - 1 > end and (before or after >= 0):
            add(time - 1, dict.fromkeys(counts, 0) | before, changed)
        if changed or recorded:
            add(time, counts, changed)
            end = time
    if end < latest:
        if end == after >= 0:
            add(after, counts)
        add(latest, counts)
    return [(state, time, count) for (state, time), count in sorted(points.items())]
