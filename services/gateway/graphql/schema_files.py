"""The schema, loaded from its files and bound to the resolvers.

``python -m services.gateway.graphql.schema_files`` rewrites the committed copy.
"""

from functools import cache
from pathlib import Path

from ariadne import load_schema_from_path, make_executable_schema
from graphql import GraphQLSchema, print_schema

from services.gateway.graphql.fields import BINDABLES
from services.gateway.graphql.scalars import use_long_int, word_scalars

FOLDER = Path(__file__).parent / "schema"
COMMITTED = Path(__file__).parent.parent / "schema.graphql"


@cache
def executable_schema() -> GraphQLSchema:
    schema = make_executable_schema(load_schema_from_path(FOLDER), *word_scalars(), *BINDABLES)
    use_long_int(schema)
    return schema


def schema_text() -> str:
    """The complete schema as committed."""
    return print_schema(executable_schema()) + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(schema_text(), encoding="utf-8")
