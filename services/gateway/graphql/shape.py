"""The selection below a root field, compiled once into a function from objects to the dictionaries of the answer.

The executor walks a list field by field and value by value, which for a page of jobs costs more than the database. A shape
knows the selection's aliases, fragments and conditions beforehand, and only asks each object for what was selected.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any

import orjson
from graphql import GraphQLError, GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo, GraphQLSchema, get_named_type
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues
from graphql.language import FieldNode, OperationDefinitionNode
from graphql.type import is_list_type, is_non_null_type, is_object_type

Json = dict[str, Any]
MANY = 200  # longer lists become text part by part: the dictionaries of all of them at once are slow to make and to collect
_ATTRIBUTES = re.compile(r"[a-z_]+(\.[a-z_]+)*", re.ASCII)
Getter = Callable[[Any], Any]  # from an object to a value of the answer, or to the object or objects below
Tables = Mapping[str, Mapping[str, Getter]]  # by type and field


@dataclass(frozen=True, slots=True)
class Failure:
    """What a getter gives instead of the value of a nullable field: null in the answer, and an error with the field's path."""

    text: str
    code: str


@dataclass(frozen=True, slots=True)
class _Entry:
    node: FieldNode
    below: "Shape | None"


@dataclass(frozen=True, slots=True)
class Shape:
    """One selection on one type. ``names`` are the fields that are selected, whatever their aliases."""

    names: frozenset[str]
    write: Callable[[Any], Json]
    entries: Mapping[str, _Entry] = field(repr=False)
    failing: Sequence[str] = ()  # keys at or below which there may be a Failure

    @property
    def may_fail(self) -> bool:
        return bool(self.failing)

    def write_all(self, items: Sequence[Any]) -> list[Any]:
        """Texts of several items each when there are many: they stand in a list of the answer as the items themselves would."""
        if len(items) <= MANY or self.may_fail:
            return [self.write(item) for item in items]
        parts = (items[first : first + MANY] for first in range(0, len(items), MANY))
        return [orjson.Fragment(orjson.dumps([self.write(item) for item in part])[1:-1]) for part in parts]

    def selects(self, path: str) -> bool:
        """Whether a field is selected; ``items.tags`` is the field ``tags`` below any selection of ``items``."""
        name, _, rest = path.partition(".")
        if not rest:
            return name in self.names
        return any(below.selects(rest) for below in self._below(name))

    def at(self, name: str) -> frozenset[str]:
        """The fields selected below all selections of one."""
        return frozenset().union(*(below.names for below in self._below(name)))

    def _below(self, name: str) -> Iterator["Shape"]:
        for entry in self.entries.values():
            if entry.below is not None and entry.node.name.value == name:
                yield entry.below

    def take_failures(self, value: Any, path: list[str | int]) -> Iterator[GraphQLError]:
        """Put null in the place of every failure in a written value."""
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.take_failures(item, [*path, number])
            return
        if not isinstance(value, dict):
            return
        for key in self.failing:
            entry, found = self.entries[key], value[key]
            if isinstance(found, Failure):
                value[key] = None
                yield GraphQLError(found.text, entry.node, path=[*path, key], extensions={"code": found.code})
            elif entry.below is not None and entry.below.may_fail:
                yield from entry.below.take_failures(found, [*path, key])


@dataclass(frozen=True, slots=True)
class Shaped:
    """A value of the answer: the executor passes it through as it is."""

    value: Any
    failures: tuple[GraphQLError, ...] = ()


def shaped(shape: Shape | None, found: Any, path: list[str | int]) -> Shaped | None:
    """What a resolver found in the form of the answer. ``path`` is that of the field, for errors below it."""
    if found is None:
        return None
    if shape is None:
        return Shaped(found)
    value = shape.write_all(found) if isinstance(found, list | tuple) else shape.write(found)
    return Shaped(value, tuple(shape.take_failures(value, path)) if shape.may_fail else ())


class Compiler:
    """Compiles selections over ``tables``; only the fields ``failing``, as ``Type.field``, may give a Failure."""

    def __init__(self, tables: Tables, failing: frozenset[str] = frozenset()) -> None:
        self._tables = tables
        self._failing = failing

    def shape_of(self, info: GraphQLResolveInfo[Any]) -> Shape | None:
        """The shape of the field that is being resolved; None for a field without a selection."""
        kind = get_named_type(info.return_type)
        if not isinstance(kind, GraphQLObjectType):
            return None
        fragments = {name: FragmentDetails(definition) for name, definition in info.fragments.items()}
        selections = _Selections(self._tables, self._failing, info.schema, fragments, info.variable_values, info.operation)
        return selections.shape(kind, info.field_nodes)


@dataclass(frozen=True, slots=True)
class _Selections:
    tables: Tables
    failing: frozenset[str]
    schema: GraphQLSchema
    fragments: dict[str, FragmentDetails]
    variables: VariableValues
    operation: OperationDefinitionNode

    def shape(self, kind: GraphQLObjectType, nodes: list[FieldNode]) -> Shape:
        collected = collect_subfields(
            self.schema, self.fragments, self.variables, self.operation, kind, [FieldDetails(node, None) for node in nodes]
        )
        entries: dict[str, _Entry] = {}
        writers: list[tuple[str, Getter]] = []
        table = self.tables[kind.name]
        for key, details in collected.grouped_field_set.items():
            node = details[0].node
            name = node.name.value
            if name == "__typename":
                entries[key] = _Entry(node, None)
                writers.append((key, _constant(kind.name)))
                continue
            output = kind.fields[name].type
            below_kind = get_named_type(output)
            getter = table[name]
            below = None
            if isinstance(below_kind, GraphQLObjectType):
                below = self.shape(below_kind, [detail.node for detail in details])
                getter = _nested(getter, below.write_all if _is_list(output) else below.write)
            entries[key] = _Entry(node, below)
            writers.append((key, getter))
        names = frozenset(entry.node.name.value for entry in entries.values())
        failing = tuple(
            key
            for key, entry in entries.items()
            if f"{kind.name}.{entry.node.name.value}" in self.failing or (entry.below is not None and entry.below.may_fail)
        )
        return Shape(names, _writer(writers), entries, failing)


@dataclass(frozen=True, slots=True)
class absent_as_none:  # noqa: N801 - beside attrgetter and itemgetter
    """A getter for dictionaries that may lack a key, or have nothing under it."""

    key: str

    def __call__(self, value: Mapping[str, Any]) -> Any:
        return value.get(self.key) or None


def _constant(value: Any) -> Getter:
    return lambda _: value


def _is_list(output: GraphQLOutputType) -> bool:
    return is_list_type(output.of_type if is_non_null_type(output) else output)


def _nested(getter: Getter, write: Getter) -> Getter:
    def write_below(value: Any) -> Any:
        found = getter(value)
        return found if found is None or type(found) is Failure else write(found)

    return write_below


def _writer(writers: list[tuple[str, Getter]]) -> Callable[[Any], Json]:
    """One function whose body is the dictionary, half as expensive as a loop over getters that are called.

    Its text holds nothing of the request: keys and getters are given by number, and paths of attributes come from the tables.
    What attrgetter, itemgetter and ``absent_as_none`` do stands in the text itself, without a call.
    """
    given: dict[str, Any] = {}
    parts = []
    for number, (key, getter) in enumerate(writers):
        given[f"k{number}"] = key
        if isinstance(getter, attrgetter) and _ATTRIBUTES.fullmatch(path := getter.__reduce__()[1][0]):
            parts.append(f"k{number}: value.{path}")
        elif isinstance(getter, itemgetter) and len(getter.__reduce__()[1]) == 1:
            given[f"g{number}"] = getter.__reduce__()[1][0]
            parts.append(f"k{number}: value[g{number}]")
        elif isinstance(getter, absent_as_none):
            given[f"g{number}"] = getter.key
            parts.append(f"k{number}: value.get(g{number}) or None")
        else:
            given[f"g{number}"] = getter
            parts.append(f"k{number}: g{number}(value)")
    write: Callable[[Any], Json] = eval(f"lambda value: {{{', '.join(parts)}}}", given)  # noqa: S307
    return write


def unshaped_fields(schema: GraphQLSchema, tables: Tables) -> list[str]:
    """``Type.field`` of everything below the roots that no table has."""
    roots = {root.name for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root is not None}
    return sorted(
        f"{kind.name}.{name}"
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType) and is_object_type(kind) and kind.name not in roots and not kind.name.startswith("__")
        for name in kind.fields
        if name not in tables.get(kind.name, {})
    )


__all__ = ["Compiler", "Failure", "Getter", "Shape", "Shaped", "Tables", "absent_as_none", "unshaped_fields"]
