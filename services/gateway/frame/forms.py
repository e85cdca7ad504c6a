"""Forms: fields of an urlencoded or multipart body, and of the query string."""

import zlib
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from services.gateway.errors import bad_request
from services.gateway.frame.bodies import refuse_coding
from services.gateway.frame.query import Query, read_values

MAX_FORM_BYTES = 256 * 1024
# Raised for a missing boundary, an unknown charset, bytes outside the charset, or a malformed part.
_BROKEN = (ValueError, LookupError, HttpProcessingError, RuntimeError, zlib.error)
F = TypeVar("F", bound=Query)


async def read_form(model: type[F], request: web.Request) -> F:
    """Read a form; body fields win over the query string. Raises RequestError: 400, 413 above ``MAX_FORM_BYTES``, 415 if compressed."""
    values: dict[str, str] = {}
    for key, value in request.query.items():
        values.setdefault(key, value)
    if request.can_read_body and request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        refuse_coding(request)
        try:
            form = await request.clone(client_max_size=MAX_FORM_BYTES).post()
        except _BROKEN as e:
            raise bad_request("the body is not a form") from e
        body: dict[str, str] = {}
        for key, part in form.items():
            if not isinstance(part, str):
                raise bad_request(f"form field {key[:60]}: a file was sent where text is expected")
            body.setdefault(key, part)
        values |= body
    return read_values(model, values, "form field")
