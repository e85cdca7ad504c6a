"""GraphQL over HTTP: the endpoint ``/query``."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from inspect import isawaitable
from typing import Any

import orjson
from aiohttp import hdrs, web
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    create_source_event_stream,
)

from services.gateway.errors import RequestError
from services.gateway.frame import playground
from services.gateway.frame.answers import JSON, LARGE_BYTES, encode
from services.gateway.frame.credentials import Guard
from services.gateway.frame.turns import Turns
from services.gateway.graphql import websocket
from services.gateway.graphql.documents import Document, Documents
from services.gateway.graphql.executor import ShapedExecutor, WithoutIntrospection
from services.gateway.graphql.failures import VALIDATION_FAILED, RequestFailure, error_object, refused, request_error_object
from services.gateway.graphql.protocol import Operation
from services.gateway.graphql.request import GraphqlRequest
from services.gateway.graphql.schema_files import executable_schema
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.graphql.shape import Compiler
from services.gateway.graphql.shapes import FAILING, TABLES
from services.gateway.graphql.variables import lenient
from services.gateway.people.identity import User
from services.gateway.site import SITE, Site
from shared.errors import Unavailable

Json = dict[str, Any]
PATH = "/query"
GRAPHQL_JSON = "application/graphql-response+json"
_PLAIN_ACCEPTS = frozenset({"*/*", "application/*", JSON})


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


class GraphqlEndpoint:
    """Executes operations. One instance serves the whole process."""

    def __init__(self, settings: GraphqlSettings) -> None:
        self.settings = settings
        self.schema: GraphQLSchema = executable_schema()
        self.compiler = Compiler(TABLES, FAILING)
        self.documents = Documents(self.schema, settings)
        self._executor = ShapedExecutor if settings.introspection else WithoutIntrospection
        self._turns = Turns()

    async def execute(self, site: Site, user: User, asked: Asked, *, only_queries: bool = False) -> Answer:
        """Raises RequestFailure when the operation cannot be executed at all."""
        document = await self.documents.get(asked.query)
        operation = document.operation(asked.operation)
        if only_queries and operation.operation != OperationType.QUERY:
            raise refused(VALIDATION_FAILED, "only queries may be sent with GET")
        if operation.operation == OperationType.SUBSCRIPTION:
            raise refused(VALIDATION_FAILED, "subscriptions are not answered over plain HTTP")
        request = self._request(site, user, document)
        await self._turns.next()
        executor = self._built(document.node, operation, request, asked)
        result = executor.execute_operation()
        if executor.is_awaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        return Answer(answer_object(result), request.has_much)

    async def payloads(self, site: Site, user: User, asked: Asked) -> AsyncGenerator[Json, None]:
        """The answer of a query or mutation, or the events of a subscription. Raises like ``execute``."""
        document = await self.documents.get(asked.query)
        operation = document.operation(asked.operation)
        if operation.operation != OperationType.SUBSCRIPTION:
            try:
                async with asyncio.timeout(site.settings.request_timeout_s):
                    answer = await self.execute(site, user, asked)
            except TimeoutError as e:
                raise Unavailable(f"the operation took longer than {site.settings.request_timeout_s:g} s") from e
            yield answer.object
            return
        request = self._request(site, user, document)
        stream = create_source_event_stream(self._built(document.node, operation, request, asked))
        begun = await stream if isawaitable(stream) else stream
        if isinstance(begun, ExecutionResult):
            yield answer_object(begun)
            return
        assert isinstance(begun, AsyncGenerator)
        async with aclosing(begun):
            async for payload in begun:
                yield payload

    def _request(self, site: Site, user: User, document: Document) -> GraphqlRequest:
        return GraphqlRequest(
            self.settings, site, user, document, self.compiler, asyncio.Semaphore(self.settings.parallel_fields), self._turns
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


def add_to(app: web.Application, settings: GraphqlSettings) -> GraphqlEndpoint:
    endpoint = GraphqlEndpoint(settings)
    if settings.playground:
        playground.add_to(app)

    async def post(request: web.Request) -> web.StreamResponse:
        if request.content_type != JSON or hdrs.UPGRADE in request.headers or hdrs.CONTENT_TYPE not in request.headers:
            return _wrong_transport()
        return await answered(request)

    async def operate(site: Site, user: User, operation: Operation) -> AsyncGenerator[Json, None]:
        async with aclosing(endpoint.payloads(site, user, Asked(operation.query, operation.name, operation.variables))) as payloads:
            async for payload in payloads:
                yield payload

    async def get(request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await websocket.serve(request, operate)
        if not settings.get or hdrs.UPGRADE in request.headers or "query" not in request.query:
            return _wrong_transport()
        return await answered(request)

    async def other(_: web.Request) -> web.StreamResponse:
        return _wrong_transport()

    async def answered(request: web.Request) -> web.StreamResponse:
        kind = response_type(request.headers.getall(hdrs.ACCEPT, []))
        try:
            user = await request.app[SITE].auth.guards.admit(Guard.PAGE, request)
            is_get = request.method == hdrs.METH_GET
            asked = _of_query_string(request) if is_get else _of_body(await _body(request, settings.max_body_bytes))
            answer = await endpoint.execute(request.app[SITE], user, asked, only_queries=is_get)
        except RequestError as e:
            return _failed(e.status, [request_error_object(e)], kind)
        except RequestFailure as e:
            wrong = HTTPStatus.BAD_REQUEST if kind == GRAPHQL_JSON else HTTPStatus.UNPROCESSABLE_ENTITY
            return _failed(wrong if e.is_document_wrong else HTTPStatus.OK, [error_object(error) for error in e.errors], kind)
        return web.Response(body=await answer.text(), content_type=kind, zlib_executor_size=LARGE_BYTES)

    resource = app.router.add_resource(PATH)
    resource.add_route(hdrs.METH_POST, post)
    resource.add_route(hdrs.METH_GET, get)
    resource.add_route("*", other)
    return endpoint


def answer_object(result: ExecutionResult) -> Json:
    errors: Json = {"errors": [error_object(error) for error in result.errors]} if result.errors else {}
    return errors | {"data": result.data}


def response_type(accepts: list[str]) -> str:
    """The first supported type in the client's order. Without an Accept header, plain JSON."""
    accepted = [part.partition(";")[0].strip().lower() for line in accepts for part in line.split(",") if part.strip()]
    for kind in accepted:
        if kind in _PLAIN_ACCEPTS:
            return JSON
        if kind == GRAPHQL_JSON:
            return GRAPHQL_JSON
    return GRAPHQL_JSON if accepted else JSON


def _failed(status: HTTPStatus, errors: list[Json], kind: str) -> web.Response:
    return web.Response(body=encode({"errors": errors, "data": None}), status=status, content_type=kind)


def _wrong_transport() -> web.Response:
    return _failed(HTTPStatus.BAD_REQUEST, [{"message": "transport not supported"}], JSON)


async def _body(request: web.Request, max_bytes: int) -> bytes:
    """Raises RequestError (413)."""
    if (request.content_length or 0) <= max_bytes:
        body = bytearray()
        async for part in request.content.iter_chunked(64 * 1024):
            body += part
            if len(body) > max_bytes:
                break
        else:
            return bytes(body)
    raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request body is larger than {max_bytes} bytes")


def _of_body(body: bytes) -> Asked:
    """Raises RequestError (400)."""
    try:
        return _asked(orjson.loads(body))
    except orjson.JSONDecodeError as e:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"json request body could not be decoded: {e}") from e


def _of_query_string(request: web.Request) -> Asked:
    """Raises RequestError (400)."""
    given = request.query
    try:
        variables = orjson.loads(given["variables"]) if given.get("variables") else None
    except orjson.JSONDecodeError as e:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"variables: not JSON: {e}") from e
    return _asked({"query": given["query"], "operationName": given.get("operationName"), "variables": variables})


def _asked(sent: Any) -> Asked:
    """Raises RequestError (400)."""
    if not isinstance(sent, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, "json request body could not be decoded: an object is expected")
    query, operation, variables = sent.get("query"), sent.get("operationName"), sent.get("variables")
    for name, value, kind in (("query", query, str), ("operationName", operation, str), ("variables", variables, dict)):
        if value is not None and not isinstance(value, kind):
            raise RequestError(HTTPStatus.BAD_REQUEST, f"json request body could not be decoded: {name}: of the wrong type")
    return Asked(query or "", operation, variables)
