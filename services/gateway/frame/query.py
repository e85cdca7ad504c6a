"""Query strings as pydantic models."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_origin

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.gateway.errors import bad_request
from shared.domain.values import INT64_MAX

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def integer(text: str) -> int:
    """A 64-bit integer in decimal digits. Raises ValueError."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not an integer")
    number = int(text)
    if not -INT64_MAX - 1 <= number <= INT64_MAX:
        raise ValueError(f"{text[:60]} is out of range")
    return number


def _strict(value: Any) -> Any:
    return integer(value) if isinstance(value, str) else value


Integer = Annotated[int, BeforeValidator(_strict)]
Positive = Annotated[int, BeforeValidator(_strict), Field(ge=1, le=INT64_MAX)]


class Query(BaseModel):
    """The first value of a repeated parameter is used, except for list fields. Unknown parameters are ignored."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore", hide_input_in_errors=True)


class StrictQuery(Query):
    """A query that refuses unknown parameters."""

    model_config = ConfigDict(extra="forbid")


Q = TypeVar("Q", bound=Query)


def read_query(model: type[Q], request: web.BaseRequest) -> Q:
    """Parse the query string. Raises RequestError (400), which names the parameter, also for a malformed percent escape."""
    raw = request.raw_path if isinstance(request, web.Request) else ""
    if _BAD_ESCAPE.search(raw.partition("?")[2]):
        raise bad_request("malformed percent escape in the query string")
    lists = {info.alias or name for name, info in model.model_fields.items() if get_origin(info.annotation) in (list, tuple)}
    given = request.query
    values = {key: given.getall(key) if key in lists else given.getall(key)[0] for key in given}
    return read_values(model, values, "query parameter")


def read_values(model: type[Q], values: Mapping[str, Any], what: str) -> Q:
    """Validate values. Raises RequestError (400), which names the value and says ``what`` it is, such as a form field."""
    try:
        return model.model_validate(values, by_name=False, by_alias=True)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(info.alias or key for key, info in model.model_fields.items()))
            raise bad_request(f"invalid {what}: {name}; known are {known}") from e
        if first["type"] == "missing":
            raise bad_request(f"missing required {what}: {name}") from e
        raise bad_request(f"{what} {name}: {first['msg'].removeprefix('Value error, ')}") from e
