"""Scalars of arguments: 64-bit integers, and words that clients write with or without quotes.

Answers are written by ``shape`` and never pass through these scalars. Words and times reach the resolvers as strings, so that an
invalid one is an error of its field and not of the whole document.
"""

from typing import Any

from ariadne import ScalarType
from graphql import GraphQLInputField, GraphQLList, GraphQLNonNull, GraphQLScalarType, GraphQLSchema, IntValueNode
from graphql.error import GraphQLError
from graphql.language import ValueNode, print_ast

from shared.domain.values import INT64_MAX

_WORDS = ("MetricScope", "JobState", "SchedulerState", "MonitoringState", "Time")


def _text(value: Any) -> str:
    """Numbers are passed on too; the field refuses them with its own error."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise GraphQLError("expected a string or a bare word")
    return value


def _never(value: Any) -> Any:
    raise GraphQLError("no argument has this type")


def word_scalars() -> list[ScalarType]:
    words = [ScalarType(name, value_parser=_text) for name in _WORDS]
    return words + [ScalarType(name, value_parser=_never) for name in ("Any", "NullableFloat")]


def _number(value: Any) -> int:
    """Also accepts integers written with a fraction or an exponent."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise GraphQLError("Int cannot represent a value that is not an integer")
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise GraphQLError("Int cannot represent a number of more than 64 bits")
    return value


def _literal(node: ValueNode) -> int:
    if not isinstance(node, IntValueNode):
        raise GraphQLError(f"Int cannot represent {print_ast(node)[:60]}", node)
    return _number(int(node.value)) if len(node.value) <= 20 else _number(2**64)


LONG_INT = GraphQLScalarType(
    "LongInt",
    description="A whole number of 64 bits.",
    coerce_output_value=_number,
    coerce_input_value=_number,
    coerce_input_literal=_literal,
)
LONG_INT.name = "Int"  # graphql-core reserves the name in the constructor


def use_long_int(schema: GraphQLSchema) -> None:
    """Replace graphql-core's Int, which has 32 bits, everywhere in the schema."""

    def replaced(kind: Any) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return GraphQLNonNull(replaced(kind.of_type))
        if isinstance(kind, GraphQLList):
            return GraphQLList(replaced(kind.of_type))
        return LONG_INT if getattr(kind, "name", "") == "Int" else kind

    for kind in schema.type_map.values():
        for field in getattr(kind, "fields", {}).values():
            field.type = replaced(field.type)
            if not isinstance(field, GraphQLInputField):
                for argument in field.args.values():
                    argument.type = replaced(argument.type)
    schema.type_map["Int"] = LONG_INT
