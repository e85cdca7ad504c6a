"""A cache of query documents, each parsed, validated and measured once."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    validate,
    visit,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from services.gateway.graphql.failures import PARSE_FAILED, VALIDATION_FAILED, RequestFailure, refused
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.graphql.shape import Compiler, Shape

_Size = tuple[int, int]  # cost and depth
_Fragments = dict[str, FragmentDefinitionNode]

_MAX_SHAPES = 64  # per operation; each combination of the variables in @skip and @include needs its own shapes
_MAX_CACHED_CHARACTERS = 20_000  # longer documents are generated, and rarely sent twice
_MAX_TOTAL_CHARACTERS = 1_000_000  # a parsed document takes about 150 bytes per character
_SHORT_CHARACTERS = 1000  # longer documents are parsed in a thread, so that they do not block the event loop
# Bounds the comparison of repeated fields and fragments. Real queries stay far below; the library's default allows seconds.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 50_000


@dataclass(slots=True)
class Document:
    """A valid document within the limits of the settings."""

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    conditions: tuple[str, ...]  # variables used in @skip and @include
    _shapes: dict[tuple[object, ...], Shape | None] = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Raises RequestFailure for an unknown name, or no name if there are several operations."""
        if not name:
            if len(self.operations) == 1:
                return next(iter(self.operations.values()))
            raise refused(VALIDATION_FAILED, "the document has several operations: name one of them by operationName")
        if name not in self.operations:
            raise refused(VALIDATION_FAILED, f"operation {name[:100]} not found")
        return self.operations[name]

    def shape(self, info: GraphQLResolveInfo[Any], compiler: Compiler) -> Shape | None:
        """The shape of the field that is being resolved, compiled on first use."""
        values = info.variable_values.coerced
        # All nodes, because operations that share a fragment may merge different fields with it.
        key = (*map(id, info.field_nodes), *(values.get(name) for name in self.conditions))
        if key not in self._shapes:
            if len(self._shapes) >= _MAX_SHAPES * len(self.operations):
                self._shapes.clear()
            self._shapes[key] = compiler.shape_of(info)
        return self._shapes[key]


class Documents:
    """The most recently used documents, bounded by number and total size."""

    def __init__(self, schema: GraphQLSchema, settings: GraphqlSettings) -> None:
        self._schema = schema
        self._settings = settings
        self._cached: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0
        self._reading = asyncio.Lock()  # long documents are parsed one at a time

    async def get(self, text: str) -> Document:
        """Raises RequestFailure."""
        if text not in self._cached:
            if len(text) <= _SHORT_CHARACTERS:
                self._cache(text, self._read(text))
            else:
                async with self._reading:
                    known = self._cached.get(text)
                    document = known if known is not None else await asyncio.to_thread(self._read, text)
                if len(text) > _MAX_CACHED_CHARACTERS:
                    return document
                self._cache(text, document)
        self._cached.move_to_end(text)
        return self._cached[text]

    def _cache(self, text: str, document: Document) -> None:
        if text not in self._cached:
            self._cached[text] = document
            self._characters += len(text)
        while len(self._cached) > self._settings.cached_documents or self._characters > _MAX_TOTAL_CHARACTERS:
            self._characters -= len(self._cached.popitem(last=False)[0])

    def _read(self, text: str) -> Document:
        if not text.strip():
            raise refused(VALIDATION_FAILED, "no operation provided")
        try:
            node = parse(text, max_tokens=self._settings.max_tokens)
        except GraphQLError as e:
            if not _has_tokens(text):
                raise refused(VALIDATION_FAILED, "no operation provided") from e
            raise RequestFailure(PARSE_FAILED, [e]) from e
        errors = validate(self._schema, node, max_errors=20)
        if errors:
            raise RequestFailure(VALIDATION_FAILED, errors)
        operations = {d.name.value if d.name else None: d for d in node.definitions if isinstance(d, OperationDefinitionNode)}
        if not operations:
            raise refused(VALIDATION_FAILED, "no operation provided")
        self._check_size(node, operations)
        return Document(node, operations, _conditions(node))

    def _check_size(self, node: DocumentNode, operations: dict[str | None, OperationDefinitionNode]) -> None:
        fragments = {d.name.value: d for d in node.definitions if isinstance(d, FragmentDefinitionNode)}
        for operation in operations.values():
            cost, depth = _size_of(operation, fragments)
            if cost > self._settings.max_cost:
                text = f"operation has complexity {cost}, which exceeds the limit of {self._settings.max_cost}"
                raise refused("COMPLEXITY_LIMIT_EXCEEDED", text)
            if (asked := _root_fields(operation, fragments)) > self._settings.max_root_fields:
                text = f"operation has {asked} root fields, which exceeds the limit of {self._settings.max_root_fields}"
                raise refused("COMPLEXITY_LIMIT_EXCEEDED", text)
            if depth > self._settings.max_depth:
                raise refused("DEPTH_LIMIT_EXCEEDED", f"operation has depth {depth}, which exceeds the limit of {self._settings.max_depth}")


def _has_tokens(text: str) -> bool:
    """Whether the text has anything but comments, white space and commas."""
    return any(line.partition("#")[0].strip(" \t\r,\ufeff") for line in text.splitlines())


class _Conditions(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: object, *_: object) -> None:
        for argument in getattr(node, "arguments", ()):
            if isinstance(argument.value, VariableNode):
                self.names.add(argument.value.name.value)


def _conditions(node: DocumentNode) -> tuple[str, ...]:
    found = _Conditions()
    visit(node, found)
    return tuple(sorted(found.names))


def _root_fields(operation: OperationDefinitionNode, fragments: _Fragments) -> int:
    """The number of root fields of a valid operation. Each may query the database, however little it selects."""
    counted: dict[str, int] = {}

    def count(selections: SelectionSetNode) -> int:
        number = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                number += 1
            elif isinstance(node, InlineFragmentNode):
                number += count(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                name = node.name.value
                if name not in counted:
                    counted[name] = count(fragments[name].selection_set)
                number += counted[name]
        return number

    return count(operation.selection_set)


def _size_of(operation: OperationDefinitionNode, fragments: _Fragments) -> _Size:
    """Cost and depth of a valid operation. Every selected field costs one, at each place where its fragment is used.

    Introspection costs nothing, since a validation rule bounds it.
    """
    return _Measure(fragments).selection(operation.selection_set)


class _Measure:
    """Measures each fragment once, because nested spreads multiply exponentially."""

    def __init__(self, fragments: _Fragments) -> None:
        self._fragments = fragments
        self._known: dict[str, _Size] = {}

    def selection(self, selections: SelectionSetNode | None) -> _Size:
        cost, depth = 0, 0
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                below = self.selection(node.selection_set)
                found = (0, 0) if node.name.value == "__schema" else (below[0] + 1, below[1] + 1)
            elif isinstance(node, InlineFragmentNode):
                found = self.selection(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                found = self._fragment(node.name.value)
            cost, depth = cost + found[0], max(depth, found[1])
        return cost, depth

    def _fragment(self, name: str) -> _Size:
        if name not in self._known:
            self._known[name] = self.selection(self._fragments[name].selection_set)
        return self._known[name]
