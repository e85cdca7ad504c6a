"""The credentials that a request can carry, and which of them a route accepts."""

from enum import StrEnum
from typing import Self

TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 - a header's name
SESSION_COOKIE = "session"


class Guard(StrEnum):
    """The access rule of a route. ``people.auth.guards`` enforces it, the API description shows it."""

    takes_token: bool
    takes_session: bool

    API = "api", True, False  # token of a program, or of an admin with the role api, from an allowed address
    USER_API = "user-api", True, False  # token of a program, or of a person with the role api
    CONFIG = "config", False, True  # session of an admin
    STAFF = "staff", False, True  # session of an admin or of support
    FRONTEND = "frontend", False, True  # any session
    WALL = "wall", True, False  # token of a link to a wall screen
    PAGE = "page", True, True  # any token, else any session
    NONE = "none", False, False

    def __new__(cls, name: str, takes_token: bool, takes_session: bool) -> Self:
        guard = str.__new__(cls, name)
        guard._value_ = name
        guard.takes_token, guard.takes_session = takes_token, takes_session
        return guard
