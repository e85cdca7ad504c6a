"""The fields of the schema, one module per subject: resolvers of its root fields, and the getters of its types.

Importing a module binds its resolvers to the roots. Its ``TABLES`` has a getter for every field of its types.
"""

from ariadne import ObjectType

from services.gateway.graphql.fields import (
    advice,
    clusters,
    distribution,
    job_nodes,
    jobs,
    metrics,
    node_metrics,
    nodes,
    people,
    settings,
    statistics,
    subscriptions,
    tags,
    timeline,
)
from services.gateway.graphql.request import MUTATION, QUERY
from services.gateway.graphql.shape import Tables

MODULES = (
    advice,
    clusters,
    distribution,
    job_nodes,
    jobs,
    metrics,
    node_metrics,
    nodes,
    people,
    settings,
    statistics,
    subscriptions,
    tags,
    timeline,
)
BINDABLES: list[ObjectType] = [QUERY, MUTATION, subscriptions.SUBSCRIPTION]
TABLES: Tables = {kind: getters for module in MODULES for kind, getters in getattr(module, "TABLES", {}).items()}
FAILING = jobs.FAILING
