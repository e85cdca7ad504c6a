"""Compile the selection below a root field, once per document, into getters that turn objects into the answer's dictionaries.

graphql-core's executor resolves every value of every item on its own, which for a page of jobs costs more than the database.
A shape resolves aliases, fragments and conditions in advance, so that writing an item only calls one getter per selected field.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import GraphQLError, GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo, GraphQLSchema, get_named_type
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues
from graphql.language import FieldNode, OperationDefinitionNode
from graphql.type import is_list_type, is_non_null_type, is_object_type

Json = dict[str, Any]
MANY = 200  # longer lists are serialised in parts: creating and collecting the dictionaries of all items at once is slower
Getter = Callable[[Any], Any]  # from an object to a value of the answer, or to the object or list that a nested selection applies to
Tables = Mapping[str, Mapping[str, Getter]]  # type name -> field name -> getter


@dataclass(frozen=True, slots=True)
class Failure:
    """Returned by the getter of a nullable field that cannot be read. The answer has null, and an error with the field's path."""

    text: str
    code: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A list whose items are not objects: a getter takes ``of``, and returns one JSON text per item, or a string that all items have.

    For lists of thousands of small items, where an object and a dictionary each would cost more than everything else.
    """

    of: Any
    size: int


@dataclass(frozen=True, slots=True)
class Batches:
    """The lists below ``size`` items of a batch. Each part has the number of the item above that each of its items belongs to."""

    size: int
    parts: Sequence[tuple[Batch, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class _Entry:
    node: FieldNode
    below: "Shape | None"


@dataclass(frozen=True, slots=True)
class Shape:
    """One selection on one type. ``names`` are the selected fields, without their aliases."""

    names: frozenset[str]
    write: Callable[[Any], Json]
    entries: Mapping[str, _Entry] = field(repr=False)
    getters: Sequence[tuple[str, Getter]] = field(repr=False)
    failing: Sequence[str] = ()  # keys whose value may be or contain a Failure

    @property
    def may_fail(self) -> bool:
        return bool(self.failing)

    def write_all(self, items: "Sequence[Any] | Batch | Batches") -> list[Any]:
        """One dictionary per item. Lists of more than MANY items become JSON fragments of MANY items each, with the same text.

        A batch becomes one fragment. Lists below a batch become the text of each.
        """
        if isinstance(items, Batch):
            return [orjson.Fragment(b",".join(self._texts(items)))] if items.size else []
        if isinstance(items, Batches):
            return self._texts_below(items)
        if len(items) <= MANY or self.failing:
            return [self.write(item) for item in items]
        parts = (items[first : first + MANY] for first in range(0, len(items), MANY))
        return [orjson.Fragment(orjson.dumps([self.write(item) for item in part])[1:-1]) for part in parts]

    def _texts(self, batch: Batch) -> list[bytes]:
        """The JSON object of each item."""
        parts: list[bytes] = []
        texts: list[Sequence[bytes]] = []
        for key, get in self.getters:
            found = get(batch.of)
            if isinstance(found, str):
                parts.append(b'"%b":%b' % (key.encode(), orjson.dumps(found).replace(b"%", b"%%")))
            else:
                parts.append(b'"%b":%%b' % key.encode())
                texts.append(found)
        template = b"{" + b",".join(parts) + b"}"
        return [template % values for values in zip(*texts, strict=True)] if texts else [template % ()] * batch.size

    def _texts_below(self, lists: Batches) -> list[bytes]:
        found: list[list[bytes]] = [[] for _ in range(lists.size)]
        for batch, places in lists.parts:
            for place, text in zip(places, self._texts(batch), strict=True):
                found[place].append(text)
        return [b"[" + b",".join(texts) + b"]" for texts in found]

    def selects(self, path: str) -> bool:
        """Whether a field is selected; ``items.tags`` is the field ``tags`` below any selection of ``items``."""
        name, _, rest = path.partition(".")
        if not rest:
            return name in self.names
        return any(below.selects(rest) for below in self._below(name))

    def at(self, name: str) -> frozenset[str]:
        """The fields selected below ``name``, over all its aliases."""
        return frozenset().union(*(below.names for below in self._below(name)))

    def _below(self, name: str) -> Iterator["Shape"]:
        for entry in self.entries.values():
            if entry.below is not None and entry.node.name.value == name:
                yield entry.below

    def take_failures(self, value: Any, path: list[str | int]) -> Iterator[GraphQLError]:
        """Replace every Failure in a written value by null, and yield its error."""
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
    """A finished value of the answer, which the executor passes through unchanged."""

    value: Any
    failures: tuple[GraphQLError, ...] = ()


def shaped(shape: Shape | None, found: Any, path: list[str | int]) -> Shaped | None:
    """Write the result of a resolver. ``path`` is the field's path, the prefix of error paths below it."""
    if found is None:
        return None
    if shape is None:
        return Shaped(found)
    value = shape.write_all(found) if isinstance(found, list | tuple | Batch) else shape.write(found)
    return Shaped(value, tuple(shape.take_failures(value, path)) if shape.may_fail else ())


class Compiler:
    """Compiles selections over ``tables``. Only the fields in ``failing``, written ``Type.field``, may return a Failure."""

    def __init__(self, tables: Tables, failing: frozenset[str] = frozenset()) -> None:
        self._tables = tables
        self._failing = failing

    def shape_of(self, info: GraphQLResolveInfo[Any]) -> Shape | None:
        """The shape of the field that is being resolved. None if it has no selection."""
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
        getters: list[tuple[str, Getter]] = []
        table = self.tables[kind.name]
        for key, details in collected.grouped_field_set.items():
            node = details[0].node
            name = node.name.value
            if name == "__typename":
                entries[key] = _Entry(node, None)
                getters.append((key, _constant(kind.name)))
                continue
            output = kind.fields[name].type
            below_kind = get_named_type(output)
            getter = table[name]
            below = None
            if isinstance(below_kind, GraphQLObjectType):
                below = self.shape(below_kind, [detail.node for detail in details])
                getter = _nested(getter, below.write_all if _is_list(output) else below.write)
            entries[key] = _Entry(node, below)
            getters.append((key, getter))
        names = frozenset(entry.node.name.value for entry in entries.values())
        failing = tuple(
            key
            for key, entry in entries.items()
            if f"{kind.name}.{entry.node.name.value}" in self.failing or (entry.below is not None and entry.below.may_fail)
        )
        return Shape(names, _writer(tuple(getters)), entries, getters, failing)


def _writer(fields: Sequence[tuple[str, Getter]]) -> Callable[[Any], Json]:
    """Makes the dictionary of an item. Without a loop for few fields, as most lists inside a job have: it costs half as much."""
    match fields:
        case [(key, get)]:
            return lambda item: {key: get(item)}
        case [(key, get), (key2, get2)]:
            return lambda item: {key: get(item), key2: get2(item)}
        case [(key, get), (key2, get2), (key3, get3)]:
            return lambda item: {key: get(item), key2: get2(item), key3: get3(item)}
        case [(key, get), (key2, get2), (key3, get3), (key4, get4)]:
            return lambda item: {key: get(item), key2: get2(item), key3: get3(item), key4: get4(item)}

    def write(item: Any) -> Json:
        written: Json = {}
        for key, get in fields:
            written[key] = get(item)
        return written

    return write


def absent_as_none(key: str) -> Getter:
    """A getter for dictionaries in which the key may be missing or its value empty."""
    return lambda value: value.get(key) or None


def _constant(value: Any) -> Getter:
    return lambda _: value


def _is_list(output: GraphQLOutputType) -> bool:
    return is_list_type(output.of_type if is_non_null_type(output) else output)


def _nested(getter: Getter, write: Getter) -> Getter:
    def write_below(value: Any) -> Any:
        found = getter(value)
        return found if found is None or type(found) is Failure else write(found)

    return write_below


def unshaped_fields(schema: GraphQLSchema, tables: Tables) -> list[str]:
    """Every field below the roots that is missing in ``tables``, as ``Type.field``."""
    roots = {root.name for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root is not None}
    return sorted(
        f"{kind.name}.{name}"
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType) and is_object_type(kind) and kind.name not in roots and not kind.name.startswith("__")
        for name in kind.fields
        if name not in tables.get(kind.name, {})
    )


__all__ = ["Batch", "Batches", "Compiler", "Failure", "Getter", "Shape", "Shaped", "Tables", "absent_as_none", "unshaped_fields"]
