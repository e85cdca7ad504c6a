"""Reads nodes and their state history."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Row, Select, Table, and_, case, false, func, literal, null, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.reading.filters import lower_ascii, require_few
from services.gateway.reading.model import TextMatch
from services.gateway.reading.roster import Roster
from shared.database.engine import read
from shared.database.functions import ascii_lower, begins, bytewise, ends, holds, total
from shared.database.sql import one_of
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


@dataclass(frozen=True, slots=True)
class NodeRecords:
    """Rows of ``node_state`` and of ``node_health``, oldest first."""

    states: Sequence[Row[Any]]
    health: Sequence[Row[Any]]


MAX_RECORDS = 10_000  # of each kind in an answer, the newest
MAX_EVENTS = 500  # per answer; later ones are left out
TROUBLE = ("down", "unknown")

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
    return false() if "\0" in state else column == state  # PostgreSQL rejects NUL in parameters


def _identity(wanted: NodeFilter) -> ColumnElement[bool]:
    columns = (("hostname", node.hostname), ("cluster", node.cluster), ("subcluster", node.subcluster))
    of_ids = true() if wanted.ids is None else node.id.in_(wanted.ids)
    return and_(of_ids, *(_text(column, getattr(wanted, name)) for name, column in columns))


def _latest(where: Sequence[NodeFilter], state: ColumnElement[str]) -> ColumnElement[bool]:
    """Conditions on the current states. ``state`` is the expression of the scheduler state."""
    require_few(where)
    parts = [true(), *map(_identity, where)]
    parts += [_is(state, wanted.scheduler_state) for wanted in where]
    parts += [_is(node.health_state, wanted.health_state) for wanted in where]
    return and_(*parts)


def _columns(state: ColumnElement[str]) -> list[ColumnElement[Any]]:
    return [state.label(column.name) if column.name == node.node_state.name else column for column in node]


class NodeQueries:
    """Every method raises Unavailable when the database cannot be reached, RequestError (400) for too many filters or values."""

    def __init__(self, engine: AsyncEngine, roster: Roster) -> None:
        self._engine = engine
        self._roster = roster

    async def all(self, where: Sequence[NodeFilter]) -> Sequence[Row[Any]]:
        """Rows of ``node`` by host name, without nodes that left their cluster."""
        state = self._roster.state()
        condition = and_(await self._roster.is_listed(), _latest(where, state))
        statement = select(*_columns(state)).where(condition).order_by(bytewise(node.hostname), bytewise(node.cluster))
        return await read(self._engine, lambda connection: connection.execute(statement).all())

    async def by_id(self, key: int) -> Row[Any] | None:
        statement = select(*_columns(self._roster.state())).where(node.id == key)
        return await read(self._engine, lambda connection: connection.execute(statement).one_or_none())

    async def by_name(self, cluster: str, host: str) -> Row[Any] | None:
        wanted = NodeFilter(cluster=TextMatch.equal(cluster), hostname=TextMatch.equal(host))
        statement = select(*_columns(self._roster.state())).where(_identity(wanted))
        return await read(self._engine, lambda connection: connection.execute(statement).one_or_none())

    async def records(self, key: int, start: int, end: int) -> NodeRecords:
        """The records of a node from ``start`` to before ``end`` (Unix seconds), beginning with the record that held at ``start``.

        Unchanged states are recorded rarely. At most the newest ``MAX_RECORDS`` of each kind.
        """
        states, health = _records(tables.node_state, key, start, end), _records(tables.node_health, key, start, end)
        return await read(
            self._engine,
            lambda connection: NodeRecords(connection.execute(states).all()[::-1], connection.execute(health).all()[::-1]),
        )

    async def troubles(self, cluster: str, hosts: Sequence[str], start: int, end: int) -> Sequence[Row[Any]]:
        """When nodes went out of use and came back from ``start`` to ``end`` (Unix seconds), up to ``MAX_EVENTS``, oldest first.

        The rows have ``hostname``, ``time_stamp``, ``node_state`` and ``states``. A node is taken to be in use at ``start``.
        """
        of_hosts = and_(node.cluster == cluster, one_of(node.hostname, hosts))
        kind = case((node_state.node_state.in_(TROUBLE), node_state.node_state), else_="").label("kind")
        before = func.lag(kind.element).over(partition_by=node_state.node_id, order_by=(node_state.time_stamp, node_state.id))
        columns = (node_state.id, node_state.time_stamp, node_state.node_state, node_state.states)
        statement = select(node.hostname, *columns, kind, before.label("before")).join_from(
            tables.node, tables.node_state, node_state.node_id == node.id
        )
        found = statement.where(of_hosts, node_state.time_stamp >= start, node_state.time_stamp <= end).subquery()
        changes = select(found).where(found.c.kind != func.coalesce(found.c.before, ""))
        ordered = changes.order_by(found.c.time_stamp, bytewise(found.c.hostname), found.c.id).limit(MAX_EVENTS)
        return await read(self._engine, lambda connection: connection.execute(ordered).all())

    async def count(self, where: Sequence[NodeFilter], kind: StateKind) -> list[tuple[str, int]]:
        """The number of nodes by state, without nodes that left their cluster."""
        scheduler_state = self._roster.state()
        condition = and_(await self._roster.is_listed(), _latest(where, scheduler_state))
        state = (scheduler_state if kind == "node" else node.health_state).label("state")
        # The state is computed once: PostgreSQL takes its repetition with other parameters for another expression.
        found = select(state).where(condition).subquery().c.state
        statement = select(found, func.count()).group_by(found).order_by(bytewise(found))
        return await read(self._engine, lambda connection: [(name, nodes) for name, nodes in connection.execute(statement)])

    async def history(self, where: Sequence[NodeFilter], kind: StateKind) -> list[tuple[str, int, int]]:
        """Points (state, time, number of nodes) by state and time. A straight line between two points is within 1 s of the truth.

        There are points at the start of the window (``after``), at each recorded time in it, 1 s before and at each change, and at
        the latest report. Unchanged states are recorded rarely, so a node without a record at some time counts with its previous
        state, until its own last report. Nodes in the last report of their cluster count until the latest report of all clusters,
        if that is at most ``MAX_HOLD_S`` later. A count of 0 appears only next to a change. A filter on the other kind of state
        applies to the current states.
        """
        require_few(where)
        wanted, others = ("scheduler_state", "health_state") if kind == "node" else ("health_state", "scheduler_state")
        of_node: ColumnElement[str] = node.health_state if kind == "node" else self._roster.state()
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


def _records(table: Table, key: int, start: int, end: int) -> Select[Any]:
    rows, earlier = table.c, table.alias("earlier").c
    held = select(func.max(earlier.time_stamp)).where(earlier.node_id == key, earlier.time_stamp <= start).scalar_subquery()
    is_wanted = and_(rows.node_id == key, rows.time_stamp >= func.coalesce(held, literal(start, BigInteger)), rows.time_stamp < end)
    return select(*rows).where(is_wanted).order_by(rows.time_stamp.desc(), rows.id.desc()).limit(MAX_RECORDS)


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
    nodes = chosen_nodes.cte("nodes").prefix_with("MATERIALIZED", dialect="postgresql")  # otherwise it is computed for each row
    following = func.lead(rows.time_stamp).over(partition_by=rows.node_id, order_by=(rows.time_stamp, rows.id))
    latest = nodes.c.until if kind == "node" else null()  # the time of the last check is not stored
    is_instant = following == rows.time_stamp  # lasts 1 s, so that each of several records of one time counts
    ends = case((is_instant, rows.time_stamp + 1), else_=func.coalesce(following, latest))
    joined = table.join(nodes, and_(rows.node_id == nodes.c.id, rows.time_stamp >= nodes.c.since))
    spans = select(rows.time_stamp.label("begins"), ends.label("ends"), state.label("state")).select_from(joined).subquery("spans").c
    changes = union_all(
        select(spans.begins.label("time"), spans.state, literal(1).label("change"), literal(1).label("rows")),
        select(spans.ends, spans.state, literal(-1), literal(0)).where(spans.ends.is_not(None)),
    ).subquery("changes")
    time, of_state = changes.c.time, changes.c.state
    return select(time, of_state, total(changes.c.change), total(changes.c.rows)).group_by(time, of_state).order_by(time)


def _points(changes: Iterable[Any], after: int, latest: int) -> list[tuple[str, int, int]]:
    """Points by state and time. ``changes`` are rows of ``_changes``, including those before the window."""
    counts: Counter[str] = Counter()
    points: dict[tuple[str, int], int] = {}

    def add(time: int, numbers: Mapping[str, int], changed: Collection[str] = ()) -> None:
        for state, count in numbers.items():
            if count or state in changed:
                points[state, time] = count

    end = after  # time of the last point
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
