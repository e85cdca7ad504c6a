"""Nodes and their states. Lists and counts are for staff."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from services.gateway.errors import bad_request, forbidden, not_found
from services.gateway.graphql.arguments import numeric_id, text_match
from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.nodes import NodePage, NodeView, StateTimes
from services.gateway.people.identity import ADMIN, SUPPORT
from services.gateway.reading.nodes import NodeFilter, NodeQueries


def require_staff(ask: Ask) -> None:
    """Raises RequestError (403)."""
    if not ask.user.roles & {ADMIN, SUPPORT}:
        raise forbidden("the role admin or support is required")


def node_filters(given: Sequence[Any] | None) -> list[NodeFilter]:
    return [
        NodeFilter(
            hostname=text_match(item.get("hostname")),
            cluster=text_match(item.get("cluster")),
            subcluster=text_match(item.get("subCluster")),
            scheduler_state=item.get("schedulerState"),
            health_state=item.get("healthState"),
            after=item.get("timeStart"),
        )
        for item in given or ()
    ]


def _queries(ask: Ask) -> NodeQueries:
    return NodeQueries(ask.site.engine)


@answers(QUERY, "nodes")
async def nodes(ask: Ask) -> NodePage:
    return await _list(ask, with_meta=False)


@answers(QUERY, "nodesWithMeta")
async def nodes_with_meta(ask: Ask) -> NodePage:
    return await _list(ask, with_meta=True)


async def _list(ask: Ask, *, with_meta: bool) -> NodePage:
    require_staff(ask)
    return NodePage([NodeView(row, with_meta) for row in await _queries(ask).all(node_filters(ask["filter"]))])


@answers(QUERY, "node")
async def node(ask: Ask) -> NodeView:
    """Raises RequestError (404)."""
    key = numeric_id(ask["id"], "id")
    row = await _queries(ask).by_id(key)
    if row is None:
        raise not_found(f"no node with the database id {key}")
    return NodeView(row)


@answers(QUERY, "nodeStates")
async def node_states(ask: Ask) -> list[tuple[str, int]]:
    """Counts by scheduler state, then by health."""
    require_staff(ask)
    where = node_filters(ask["filter"])
    return [*await _queries(ask).count(where, "node"), *await _queries(ask).count(where, "health")]


@answers(QUERY, "nodeStatesTimed")
async def node_states_timed(ask: Ask) -> list[StateTimes]:
    require_staff(ask)
    kind = ask["type"]
    if kind not in ("node", "health"):
        raise bad_request(f"type: {kind[:60]!r} is neither node nor health")
    rows = await _queries(ask).history(node_filters(ask["filter"]), kind)
    groups = [(state, list(found)) for state, found in groupby(rows, itemgetter(0))]
    return [StateTimes(state, [nodes for _, _, nodes in found], [at for _, at, _ in found]) for state, found in groups]
