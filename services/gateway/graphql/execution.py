"""Executes one operation: its document, its variables, graphql-core's executor, and the answer's object."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import orjson
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    create_source_event_stream,
    is_input_type,
    type_from_ast,
)
from graphql.execution.executor import Executor
from graphql.pyutils import Path

from services.gateway.call import Gateway
from services.gateway.errors import forbidden
from services.gateway.graphql.documents import Document, Documents
from services.gateway.graphql.failures import VALIDATION_FAILED, RequestFailure, error_object, refused
from services.gateway.graphql.fields import FAILING, TABLES
from services.gateway.graphql.request import GraphqlRequest, Interleaver
from services.gateway.graphql.schema_files import executable_schema
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.graphql.shape import Compiler, Shaped
from services.gateway.people.identity import User
from shared.errors import Unavailable

Json = dict[str, Any]
_DIGITS = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")


class ShapedExecutor(Executor[Any]):
    """Passes shaped values through, and refuses introspection if it is switched off."""

    allows_introspection = True

    def complete_value(self, return_type: Any, field_details_list: Any, info: Any, path: Path, result: Any, position_context: Any) -> Any:
        if type(result) is not Shaped:
            return super().complete_value(return_type, field_details_list, info, path, result, position_context)
        for error in result.failures:
            self.collected_errors.add(error, _as_path(error))
        return result.value

    def execute_field(self, parent_type: Any, source: Any, field_details_list: Any, path: Path, position_context: Any) -> Any:
        node = field_details_list[0].node
        if node.name.value in ("__schema", "__type") and not self.allows_introspection:
            refusal = forbidden("introspection is switched off")
            self.collected_errors.add(GraphQLError(str(refusal), node, path=path.as_list(), original_error=refusal), path)
            return None
        return super().execute_field(parent_type, source, field_details_list, path, position_context)


class WithoutIntrospection(ShapedExecutor):
    allows_introspection = False


def _as_path(error: GraphQLError) -> Path | None:
    path: Path | None = None
    for key in error.path or ():
        path = Path(path, key, None)
    return path


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed request."""

    query: str
    operation: str | None = None
    variables: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """``has_much`` means that serialising it would block the event loop."""

    object: Json
    has_much: bool = False

    async def text(self) -> bytes:
        return await asyncio.to_thread(orjson.dumps, self.object) if self.has_much else orjson.dumps(self.object)


class GraphqlService:
    """Executes operations. One instance serves the whole process."""

    def __init__(self, settings: GraphqlSettings) -> None:
        self.settings = settings
        self.schema: GraphQLSchema = executable_schema()
        self.compiler = Compiler(TABLES, FAILING)
        self.documents = Documents(self.schema, settings)
        self._executor = ShapedExecutor if settings.introspection else WithoutIntrospection
        self._interleaver = Interleaver()

    async def execute(self, gateway: Gateway, user: User, asked: Asked, *, only_queries: bool = False) -> Answer:
        """Raises RequestFailure when the operation cannot be executed at all."""
        document = await self.documents.get(asked.query)
        operation = document.operation(asked.operation)
        if only_queries and operation.operation != OperationType.QUERY:
            raise refused(VALIDATION_FAILED, "only queries may be sent with GET")
        if operation.operation == OperationType.SUBSCRIPTION:
            raise refused(VALIDATION_FAILED, "subscriptions are not answered over plain HTTP")
        request = self._request(gateway, user, document)
        await self._interleaver.pause()
        executor = self._built(document.node, operation, request, asked)
        result = executor.execute_operation()
        if executor.is_awaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        return Answer(answer_object(result), request.has_much)

    async def payloads(self, gateway: Gateway, user: User, asked: Asked) -> AsyncGenerator[Json, None]:
        """The answer of a query or mutation, or the events of a subscription. Raises like ``execute``."""
        document = await self.documents.get(asked.query)
        operation = document.operation(asked.operation)
        if operation.operation != OperationType.SUBSCRIPTION:
            try:
                async with asyncio.timeout(gateway.settings.request_timeout_s):
                    answer = await self.execute(gateway, user, asked)
            except TimeoutError as e:
                raise Unavailable(f"the operation took longer than {gateway.settings.request_timeout_s:g} s") from e
            yield answer.object
            return
        request = self._request(gateway, user, document)
        stream = create_source_event_stream(self._built(document.node, operation, request, asked))
        begun = await stream if isawaitable(stream) else stream
        if isinstance(begun, ExecutionResult):
            yield answer_object(begun)
            return
        assert isinstance(begun, AsyncGenerator)
        async with aclosing(begun):
            async for payload in begun:
                yield payload

    def _request(self, gateway: Gateway, user: User, document: Document) -> GraphqlRequest:
        return GraphqlRequest(
            self.settings, gateway, user, document, self.compiler, asyncio.Semaphore(self.settings.parallel_fields), self._interleaver
        )

    def _built(self, document: Any, operation: OperationDefinitionNode, request: GraphqlRequest, asked: Asked) -> ShapedExecutor:
        executor = self._executor.build(
            self.schema,
            document,
            context_value=request,
            raw_variable_values=lenient(self.schema, operation, asked.variables or {}),
            operation_name=operation.name.value if operation.name else None,
            max_coercion_errors=20,
        )
        if isinstance(executor, list):
            raise RequestFailure(VALIDATION_FAILED, [_of_variable(error) for error in executor])
        assert isinstance(executor, ShapedExecutor)
        return executor


def _of_variable(error: GraphQLError) -> GraphQLError:
    """With the path of the invalid variable."""
    node = error.nodes[0] if error.nodes else None
    path = ["variable", node.variable.name.value] if isinstance(node, VariableDefinitionNode) else None
    return GraphQLError(error.message, error.nodes, path=path)


def answer_object(result: ExecutionResult) -> Json:
    errors: Json = {"errors": [error_object(error) for error in result.errors]} if result.errors else {}
    return errors | {"data": result.data}


def lenient(schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Json:
    """The variables that the operation declares, converted where clients send another type.

    Clients send digits for integers, and numbers for strings. Literals in documents stay strict.
    """
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
