"""The schema: its committed copy, and a getter for every field."""

from graphql import build_schema

from services.gateway.graphql.fields import TABLES
from services.gateway.graphql.schema_files import COMMITTED, executable_schema, schema_text
from services.gateway.graphql.shape import unshaped_fields

# Types that no field returns.
UNREACHABLE = ("IntRangeOutput.", "TimeRangeOutput.")


def test_the_committed_copy_is_the_schema() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == schema_text(), "python -m services.gateway.graphql.schema_files writes it anew"


def test_every_field_has_a_resolver_or_a_getter() -> None:
    schema = executable_schema()
    assert [name for name in unshaped_fields(schema, TABLES) if not name.startswith(UNREACHABLE)] == []
    for root in (schema.query_type, schema.mutation_type):
        assert root is not None
        assert [name for name, field in root.fields.items() if field.resolve is None] == []


def test_tables_name_nothing_that_the_schema_does_not_have() -> None:
    schema = build_schema(schema_text())
    for kind, table in TABLES.items():
        assert table.keys() <= schema.type_map[kind].fields.keys(), kind  # type: ignore[attr-defined]
