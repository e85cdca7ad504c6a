"""The messages of ``graphql-transport-ws``, and what a connection may do wrong.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from shared.errors import JobtideError

Json = dict[str, Any]
SUBPROTOCOL = "graphql-transport-ws"
MOST_ID = 200  # characters
_MOST_REASON = 120  # bytes; a close frame has room for 123


class Close(IntEnum):
    """Codes that a connection ends with."""

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
    """The connection ends with ``code``."""

    def __init__(self, code: Close, why: str) -> None:
        super().__init__(why)
        self.code = code

    @property
    def reason(self) -> bytes:
        return str(self).encode()[:_MOST_REASON].decode(errors="ignore").encode()


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is empty for messages that belong to no operation."""

    kind: str
    id: str = ""
    payload: Json | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What ``subscribe`` asks for: a query, a mutation or a subscription."""

    query: str
    name: str | None = None
    variables: Json | None = None


_OF_NO_OPERATION = frozenset({"connection_init", "ping", "pong"})
_OF_AN_OPERATION = frozenset({"subscribe", "complete"})


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
    if kind in _OF_NO_OPERATION:
        return Message(kind, "", payload)
    if kind not in _OF_AN_OPERATION:
        raise _bad(f"unknown type {kind[:30]!r}")
    key = sent.get("id")
    if not isinstance(key, str) or not 0 < len(key) <= MOST_ID:
        raise _bad(f"the id of {kind!r} is not a text of 1 to {MOST_ID} characters")
    return Message(kind, key, payload)


def read_operation(payload: Json | None) -> Operation:
    """Raises Closed (4400)."""
    given = payload or {}
    query, name, variables = given.get("query"), given.get("operationName"), given.get("variables")
    if not isinstance(query, str):
        raise _bad("query: not a text")
    if name is not None and not isinstance(name, str):
        raise _bad("operationName: not a text")
    for field, value in (("variables", variables), ("extensions", given.get("extensions"))):
        if value is not None and not isinstance(value, dict):
            raise _bad(f"{field}: not an object")
    return Operation(query, name or None, variables)


def _bad(why: str) -> Closed:
    return Closed(Close.BAD_REQUEST, why)
