"""Getters of each type's fields. ``TABLES`` covers every field of the schema below the roots."""

from services.gateway.graphql.shape import Tables
from services.gateway.graphql.shapes import changes, clusters, jobs, metrics, nodes, statistics

TABLES: Tables = {**jobs.TABLES, **clusters.TABLES, **nodes.TABLES, **metrics.TABLES, **statistics.TABLES, **changes.TABLES}
FAILING = jobs.FAILING
