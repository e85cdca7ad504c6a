"""Resolvers of the root fields, one module per subject. A module's ``answers`` binds them to the roots of ``roots``."""

from ariadne import ObjectType

from services.gateway.graphql.resolvers import clusters, jobs, metrics, node_metrics, nodes, people, settings, statistics, tags
from services.gateway.graphql.resolvers.roots import MUTATION, QUERY
from services.gateway.graphql.resolvers.subscriptions import SUBSCRIPTION

MODULES = (clusters, jobs, metrics, node_metrics, nodes, people, settings, statistics, tags)  # importing them binds their resolvers
BINDABLES: list[ObjectType] = [QUERY, MUTATION, SUBSCRIPTION]
