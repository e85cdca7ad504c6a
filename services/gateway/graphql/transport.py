"""GraphQL over HTTP: the endpoint ``/query``."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from services.gateway.call import GATEWAY, Gateway
from services.gateway.errors import RequestError
from services.gateway.frame.answers import JSON, LARGE_BYTES, encode
from services.gateway.frame.bodies import read_body
from services.gateway.frame.credentials import Guard
from services.gateway.frame.pages import playground
from services.gateway.graphql import websocket
from services.gateway.graphql.execution import Asked, GraphqlService
from services.gateway.graphql.failures import RequestFailure, error_object, request_error_object
from services.gateway.graphql.protocol import Operation
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.people.identity import User

Json = dict[str, Any]
PATH = "/query"
GRAPHQL_JSON = "application/graphql-response+json"
_PLAIN_ACCEPTS = frozenset({"*/*", "application/*", JSON})


def add_to(app: web.Application, settings: GraphqlSettings) -> GraphqlService:
    service = GraphqlService(settings)
    if settings.playground:
        playground.add_to(app)

    async def post(request: web.Request) -> web.StreamResponse:
        if request.content_type != JSON or hdrs.UPGRADE in request.headers or hdrs.CONTENT_TYPE not in request.headers:
            return _wrong_transport()
        return await answered(request)

    async def operate(gateway: Gateway, user: User, operation: Operation) -> AsyncGenerator[Json, None]:
        async with aclosing(service.payloads(gateway, user, Asked(operation.query, operation.name, operation.variables))) as payloads:
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
            user = await request.app[GATEWAY].auth.guards.admit(Guard.PAGE, request)
            is_get = request.method == hdrs.METH_GET
            asked = _of_query_string(request) if is_get else _of_body(await read_body(request, settings.max_body_bytes))
            answer = await service.execute(request.app[GATEWAY], user, asked, only_queries=is_get)
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
    return service


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
