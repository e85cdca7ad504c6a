"""What the fields of each type are made of. ``TABLES`` must have every field of the schema below the roots."""

from services.gateway.graphql.shape import Tables
from services.gateway.graphql.shapes import clusters, jobs, nodes, statistics

TABLES: Tables = {**jobs.TABLES, **clusters.TABLES, **nodes.TABLES, **statistics.TABLES}
FAILING = jobs.FAILING
