"""Errors of the GraphQL API: their codes and their form in answers."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from graphql import GraphQLError

from services.gateway.errors import RequestError, of_refusal, public_text
from shared.broker.outcome import NoOutcome
from shared.errors import JobtideError, Refused, Unavailable

log = structlog.get_logger()
Json = dict[str, Any]

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
INTERNAL = "INTERNAL_SERVER_ERROR"
UNAVAILABLE = "UNAVAILABLE"
FORBIDDEN = "FORBIDDEN"

_CODES = {
    HTTPStatus.BAD_REQUEST: "BAD_USER_INPUT",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: FORBIDDEN,
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.CONFLICT: "CONFLICT",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "TOO_LARGE",
    HTTPStatus.UNPROCESSABLE_ENTITY: "CONFLICT",
    HTTPStatus.TOO_MANY_REQUESTS: "TOO_MANY_REQUESTS",
}


class RequestFailure(JobtideError):
    """The operation is refused before execution. The answer has only these errors."""

    def __init__(self, code: str, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.code = code
        self.errors = [_with_code(error, code) for error in errors]

    @property
    def is_document_wrong(self) -> bool:
        return self.code in {PARSE_FAILED, VALIDATION_FAILED}


def refused(code: str, text: str) -> RequestFailure:
    return RequestFailure(code, [GraphQLError(text)])


def _with_code(error: GraphQLError, code: str) -> GraphQLError:
    return GraphQLError(error.message, error.nodes, error.source, error.positions, error.path, extensions={"code": code})


def request_error_object(error: RequestError) -> Json:
    """An entry of ``errors`` for an error of the whole request."""
    return {"message": str(error), "extensions": {"code": _CODES.get(error.status, INTERNAL)}}


def error_object(error: GraphQLError) -> Json:
    """An entry of ``errors``. Unexpected exceptions are logged, and answered with the number of the log entry."""
    message, code = _message_and_code(error)
    result: Json = {"message": message}
    if error.path is not None:
        result["path"] = list(error.path)
    if error.locations:
        result["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if code:
        result["extensions"] = {"code": code}
    return result


def _message_and_code(error: GraphQLError) -> tuple[str, str]:
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return error.message, str((error.extensions or {}).get("code", ""))
    if isinstance(cause, Refused):
        cause = of_refusal(cause)
    if isinstance(cause, RequestError):
        return str(cause), _CODES.get(cause.status, INTERNAL)
    if isinstance(cause, NoOutcome):
        log.warning("outcome_unknown", sequence=cause.sequence)
        return f"{cause}; check the outcome before repeating the request", UNAVAILABLE
    if isinstance(cause, Unavailable):
        log.warning("field_failed", path=error.path, why=str(cause))
        return public_text(cause), UNAVAILABLE
    number = uuid.uuid4().hex[:12]
    log.error("field_crashed", error=number, path=error.path, exc_info=cause)
    return f"internal error, see the log for error {number}", INTERNAL
