"""Lenient coercion of variables: clients send digits for integers, and numbers for strings. Literals in documents stay strict."""

import re
from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    is_input_type,
    type_from_ast,
)

Json = dict[str, Any]
_DIGITS = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")


def lenient(schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Json:
    """The variables that the operation declares, converted to the declared types where clients use another spelling."""
    result = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name in variables:
            kind = type_from_ast(schema, definition.type)
            result[name] = _as(kind, variables[name]) if is_input_type(kind) else variables[name]
    return result


def _as(kind: GraphQLInputType, value: Any) -> Any:
    if isinstance(kind, GraphQLNonNull):
        return _as(kind.of_type, value)
    if isinstance(kind, GraphQLList):
        return [_as(kind.of_type, item) for item in value] if isinstance(value, list) else _as(kind.of_type, value)
    if isinstance(kind, GraphQLInputObjectType):
        if not isinstance(value, dict):
            return value
        fields = kind.fields
        return {key: _as(fields[key].type, item) if key in fields else item for key, item in value.items()}
    if isinstance(value, str):
        if kind.name == "Int" and _DIGITS.fullmatch(value):
            return int(value)
        if kind.name == "Float" and _NUMBER.fullmatch(value):
            return float(value)
    elif kind.name in ("String", "ID") and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value
