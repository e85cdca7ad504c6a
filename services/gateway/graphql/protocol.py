"""The messages of ``graphql-transport-ws``, and its close codes.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from shared.errors import JobtideError

Json = dict[str, Any]
SUBPROTOCOL = "graphql-transport-ws"
MAX_ID_CHARACTERS = 200
_MAX_REASON_BYTES = 120  # a close frame has room for 123


class Close(IntEnum):
    """Close codes of the protocol, and of RFC 6455 below 4000."""

    GOING_AWAY = 1001
    TRY_AGAIN = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    NO_SUBPROTOCOL = 4406
    INIT_TIMEOUT = 4408
    DUPLICATE = 4409
    TOO_MANY_INITS = 4429


class Closed(JobtideError):
    """Ends the connection with ``code``."""

    def __init__(self, code: Close, why: str) -> None:
        super().__init__(why)
        self.code = code

    @property
    def reason(self) -> bytes:
        return str(self).encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is empty for messages about the connection."""

    kind: str
    id: str = ""
    payload: Json | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """The payload of ``subscribe``: a query, a mutation or a subscription."""

    query: str
    name: str | None = None
    variables: Json | None = None


_CONNECTION_KINDS = frozenset({"connection_init", "ping", "pong"})
_OPERATION_KINDS = frozenset({"subscribe", "complete"})


def read_message(text: str) -> Message:
    """Raises Closed (4400)."""
    try:
        sent = orjson.loads(text)
    except orjson.JSONDecodeError as e:
        raise _bad(f"not JSON: {e}") from e
    if not isinstance(sent, dict) or not isinstance(kind := sent.get("type"), str):
        raise _bad("a message is an object with a type")
    payload = sent.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise _bad(f"the payload of {kind[:30]!r} is not an object")
    if kind in _CONNECTION_KINDS:
        return Message(kind, "", payload)
    if kind not in _OPERATION_KINDS:
        raise _bad(f"unknown type {kind[:30]!r}")
    key = sent.get("id")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_ID_CHARACTERS:
        raise _bad(f"the id of {kind!r} is not a string of 1 to {MAX_ID_CHARACTERS} characters")
    return Message(kind, key, payload)


def read_operation(payload: Json | None) -> Operation:
    """Raises Closed (4400)."""
    given = payload or {}
    query, name, variables = given.get("query"), given.get("operationName"), given.get("variables")
    if not isinstance(query, str):
        raise _bad("query: not a string")
    if name is not None and not isinstance(name, str):
        raise _bad("operationName: not a string")
    for field, value in (("variables", variables), ("extensions", given.get("extensions"))):
        if value is not None and not isinstance(value, dict):
            raise _bad(f"{field}: not an object")
    return Operation(query, name or None, variables)


def _bad(why: str) -> Closed:
    return Closed(Close.BAD_REQUEST, why)
