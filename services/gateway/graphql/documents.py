"""Query documents: parsed, validated and measured once, and kept by their text."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    validate,
    visit,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from services.gateway.graphql.failures import PARSE_FAILED, VALIDATION_FAILED, RequestFailure, refused
from services.gateway.graphql.limits import root_fields, size_of
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.graphql.shape import Compiler, Shape

_MOST_SHAPES = 64  # of one document: one for each combination of the variables in @skip and @include
_MOST_KEPT_CHARACTERS = 20_000  # longer ones are made by programs, once
_MOST_KEPT_IN_ALL = 1_000_000  # characters; a parsed document takes about 150 bytes for each
_SHORT = 1000  # characters; reading more than that takes long enough to be done beside the event loop
# What comparing repeated fields and fragments may cost; queries of people stay far below. The library's own bound is seconds.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 50_000


@dataclass(slots=True)
class Document:
    """A valid document of allowed size."""

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    conditions: tuple[str, ...]  # variables that decide what is selected
    _shapes: dict[tuple[object, ...], Shape | None] = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Raises RequestFailure when it is not clear which one is meant."""
        if not name:
            if len(self.operations) == 1:
                return next(iter(self.operations.values()))
            raise refused(VALIDATION_FAILED, "the document has several operations: name one of them by operationName")
        if name not in self.operations:
            raise refused(VALIDATION_FAILED, f"operation {name[:100]} not found")
        return self.operations[name]

    def shape(self, info: GraphQLResolveInfo[Any], compiler: Compiler) -> Shape | None:
        """Of the field that is being resolved."""
        values = info.variable_values.coerced
        # All of them: a fragment may be used by several operations, and each may merge other fields with it.
        key = (*map(id, info.field_nodes), *(values.get(name) for name in self.conditions))
        if key not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES * len(self.operations):
                self._shapes.clear()
            self._shapes[key] = compiler.shape_of(info)
        return self._shapes[key]


class Documents:
    """Those that were asked last, within bounds of number and size."""

    def __init__(self, schema: GraphQLSchema, settings: GraphqlSettings) -> None:
        self._schema = schema
        self._settings = settings
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._kept_characters = 0
        self._reading = asyncio.Lock()  # long ones, one after the other

    async def get(self, text: str) -> Document:
        """Raises RequestFailure."""
        if text not in self._kept:
            if len(text) <= _SHORT:
                self._keep(text, self._read(text))
            else:
                async with self._reading:
                    known = self._kept.get(text)
                    document = known if known is not None else await asyncio.to_thread(self._read, text)
                if len(text) > _MOST_KEPT_CHARACTERS:
                    return document
                self._keep(text, document)
        self._kept.move_to_end(text)
        return self._kept[text]

    def _keep(self, text: str, document: Document) -> None:
        if text not in self._kept:
            self._kept[text] = document
            self._kept_characters += len(text)
        while len(self._kept) > self._settings.kept_documents or self._kept_characters > _MOST_KEPT_IN_ALL:
            self._kept_characters -= len(self._kept.popitem(last=False)[0])

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
            cost, depth = size_of(operation, fragments)
            if cost > self._settings.max_cost:
                text = f"operation has complexity {cost}, which exceeds the limit of {self._settings.max_cost}"
                raise refused("COMPLEXITY_LIMIT_EXCEEDED", text)
            if (asked := root_fields(operation, fragments)) > self._settings.max_root_fields:
                text = f"operation has {asked} root fields, which exceeds the limit of {self._settings.max_root_fields}"
                raise refused("COMPLEXITY_LIMIT_EXCEEDED", text)
            if depth > self._settings.max_depth:
                raise refused("DEPTH_LIMIT_EXCEEDED", f"operation has depth {depth}, which exceeds the limit of {self._settings.max_depth}")


def _has_tokens(text: str) -> bool:
    """Whether there is anything but comments, blanks and commas."""
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
