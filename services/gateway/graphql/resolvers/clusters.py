"""Cluster definitions."""

from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.clusters import ClusterView


@answers(QUERY, "clusters")
async def clusters(ask: Ask) -> list[ClusterView]:
    """By name."""
    known = ask.site.link.clusters
    return [ClusterView(known[name]) for name in sorted(known)]
