"""What a request may end with, besides success; ``http.layers`` turns each into one answer."""

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


# Python 3.13 renamed these; the answers keep the phrases that cc-backend gives.
_PHRASES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Entity",
}


def phrase(status: int) -> str:
    """The name of a status in answers, the same on every version of Python."""
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
    """The same refusal as an answer; whatever is wrong with the input itself is 400."""
    return RequestError(_STATUS_OF_REASON.get(refused.code, HTTPStatus.BAD_REQUEST), str(refused))


def told(unavailable: Unavailable) -> str:
    """What a client is told. What drivers and other servers say may name hosts and users of the site: it is for the log."""
    if isinstance(unavailable, SourceUnavailable):
        return "the metric store does not answer, or not rightly"
    text = str(unavailable)
    return "the database does not answer" if text.startswith("database:") else text
