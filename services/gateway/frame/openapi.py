"""Generates the OpenAPI 3.1 description from the served routes."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from services.gateway.errors import phrase
from services.gateway.frame.answers import JSON
from services.gateway.frame.credentials import SESSION_COOKIE, Guard
from services.gateway.frame.models import Failure
from services.gateway.frame.routes import Route

Json = dict[str, Any]
Key = tuple[str, int]  # part of a route (query, body, answer) and the route's index

_REFERENCE = "#/components/schemas/{model}"
_INTEGERS = frozenset({"id", "ts"})  # path parameters
_INTEGER = {"type": "integer", "format": "int64"}
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")

_TOKEN: list[Json] = [{"token": []}, {"bearer": []}]
_SESSION: list[Json] = [{"session": []}]
_SECURITY = {
    Guard.API: _TOKEN,
    Guard.USER_API: _TOKEN,
    Guard.CONFIG: _SESSION,
    Guard.STAFF: _SESSION,
    Guard.FRONTEND: _SESSION,
    Guard.WALL: _TOKEN,
    Guard.PAGE: _TOKEN + _SESSION,
    Guard.NONE: [],
}

DESCRIPTION = (
    "REST interface of jobtide, compatible with cc-backend 1.5. Every path works with and without a trailing slash. "
    "Changes are events: a successful answer means that the change is in the log and in the database; 503 with a sequence "
    "means that the event is in the log, but its outcome was not reported in time."
)


def describe(routes: Iterable[Route[Any]], version: str) -> Json:
    """The complete document. The result depends only on ``routes``."""
    routes = list(routes)
    schemas, definitions = _schemas(routes)
    paths: dict[str, Json] = {}
    for number, route in enumerate(routes):
        for method in route.methods:
            paths.setdefault(route.path, {})[method.lower()] = _operation(route, number, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "jobtide", "version": version, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "A JSON Web Token, EdDSA."},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "Set by `POST /login`."},
            },
            "schemas": {name: definitions[name] for name in sorted(definitions)},
        },
    }


def _types(routes: list[Route[Any]]) -> Iterator[tuple[Key, JsonSchemaMode, Any]]:
    for number, route in enumerate(routes):
        if route.query is not None:
            yield ("query", number), "validation", route.query
        if route.body is not None:
            yield ("body", number), "validation", route.body
        if route.form is not None:
            yield ("form", number), "validation", route.form
        for status, kind in route.answers.items():
            if kind is not None:
                yield (f"answer {status}", number), "serialization", kind
    yield ("failure", 0), "serialization", Failure


def _schemas(routes: list[Route[Any]]) -> tuple[dict[Key, Json], dict[str, Json]]:
    inputs = [(key, mode, TypeAdapter(kind)) for key, mode, kind in _types(routes)]
    by_key, document = TypeAdapter.json_schemas(inputs, by_alias=True, ref_template=_REFERENCE)
    definitions = dict(document.get("$defs", {}))
    for route in routes:
        if route.query is not None:
            definitions.pop(route.query.__name__, None)  # query models appear as parameters only
    return {key: schema for (key, _), schema in by_key.items()}, definitions


def _operation(route: Route[Any], number: int, method: str, schemas: dict[Key, Json]) -> Json:
    result: Json = {
        "operationId": route.name if method == route.methods[0] else f"{route.name}_{method.lower()}",
        "summary": route.summary,
        "tags": [route.group],
        "responses": _responses(route, number, schemas),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _INTEGER if name in _INTEGERS else {"type": "string"}}
        for name in _PATH_PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        parameters += _parameters(route.query)
    if parameters:
        result["parameters"] = parameters
    if route.body is not None:
        result["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas["body", number]}}}
    if route.form is not None:
        result["requestBody"] = {"content": {kind: {"schema": schemas["form", number]} for kind in _FORM_TYPES}}
    result["security"] = _SECURITY[route.guard]
    return result


def _parameters(query: type[Any]) -> list[Json]:
    schema = TypeAdapter(query).json_schema(by_alias=True, ref_template=_REFERENCE)
    required = schema.get("required", [])
    parameters = []
    for name, given in schema["properties"].items():
        field = {key: value for key, value in given.items() if key not in ("title", "description")}
        parameter = {"name": name, "in": "query", "required": name in required, "schema": field}
        if "description" in given:
            parameter["description"] = given["description"]
        if field.get("type") == "array":
            parameter |= {"style": "form", "explode": True}
        parameters.append(parameter)
    return parameters


def _responses(route: Route[Any], number: int, schemas: dict[Key, Json]) -> Json:
    responses: Json = {}
    for status, kind in route.answers.items():
        responses[str(status)] = {"description": phrase(status)}
        if kind is not None:
            content_type = _content_type(kind)
            responses[str(status)]["content"] = {content_type: {"schema": schemas[f"answer {status}", number]}}
    for status in sorted(set(route.failures)):
        responses[str(status)] = {"description": phrase(status), "content": {JSON: {"schema": schemas["failure", 0]}}}
    return responses


def _content_type(answer: Any) -> str:
    """The ``content_type`` of an answer model that declares one."""
    declared: str = getattr(answer, "content_type", JSON)
    return "text/plain" if answer is str else declared
