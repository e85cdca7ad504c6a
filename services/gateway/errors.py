"""Errors that end a request; ``frame.layers`` turns each into an answer."""

from http import HTTPStatus

from shared.domain import reasons
from shared.errors import JobtideError, Refused, Unavailable
from shared.metricdata import SourceUnavailable


class RequestError(JobtideError):
    """The request is answered with ``status`` and its text."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def bad_request(text: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, text)


def forbidden(text: str) -> RequestError:
    return RequestError(HTTPStatus.FORBIDDEN, text)


def not_found(text: str) -> RequestError:
    return RequestError(HTTPStatus.NOT_FOUND, text)


def unauthorized(text: str) -> RequestError:
    return RequestError(HTTPStatus.UNAUTHORIZED, text)


# Python 3.13 renamed these; answers use the phrases of cc-backend.
_PHRASES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Entity",
}


def phrase(status: int) -> str:
    """The reason phrase of a status in answers, the same on every version of Python."""
    known = HTTPStatus(status)
    return _PHRASES.get(known, known.phrase)


_STATUS_OF_REASON = {
    reasons.DUPLICATE_JOB: HTTPStatus.UNPROCESSABLE_ENTITY,
    reasons.ALREADY_STOPPED: HTTPStatus.UNPROCESSABLE_ENTITY,
    reasons.JOB_STILL_RUNNING: HTTPStatus.UNPROCESSABLE_ENTITY,
    reasons.JOB_NOT_FOUND: HTTPStatus.NOT_FOUND,
    reasons.TAG_NOT_FOUND: HTTPStatus.NOT_FOUND,
    reasons.TAG_CONFLICT: HTTPStatus.CONFLICT,
    reasons.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    reasons.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def of_refusal(refused: Refused) -> RequestError:
    """Convert a refusal into an error with its status; 400 for invalid input."""
    return RequestError(_STATUS_OF_REASON.get(refused.code, HTTPStatus.BAD_REQUEST), str(refused))


_NO_SPACE = ("is full", "no space left", "diskfull")  # SQLite, the operating system, PostgreSQL


def public_text(unavailable: Unavailable) -> str:
    """The text for clients. Messages of drivers and other servers may name hosts and users of the site, so they are only logged."""
    if isinstance(unavailable, SourceUnavailable):
        return "the metric store is unavailable or returned an invalid response"
    text = str(unavailable)
    if not text.startswith("database:"):
        return text
    return "the database has no space left" if any(sign in text.lower() for sign in _NO_SPACE) else "the database is unavailable"
