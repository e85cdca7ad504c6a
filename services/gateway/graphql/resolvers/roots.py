"""The roots of the schema, to which resolvers are bound."""

from ariadne import MutationType, QueryType

QUERY = QueryType()
MUTATION = MutationType()
