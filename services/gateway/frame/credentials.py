"""The credentials that a request can carry, and which of them a route accepts."""

from enum import StrEnum

TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 - a header's name
SESSION_COOKIE = "session"


class Guard(StrEnum):
    """The access rule of a route. ``people.auth.guards`` enforces it, the API description shows it."""

    API = "api"  # token of a program, or of an admin with the role api, from an allowed address
    USER_API = "user-api"  # token of a program, or of a person with the role api
    CONFIG = "config"  # session of an admin
    FRONTEND = "frontend"  # any session
    PAGE = "page"  # any token, else any session
    NONE = "none"

    @property
    def takes_token(self) -> bool:
        return self in (Guard.API, Guard.USER_API, Guard.PAGE)

    @property
    def takes_session(self) -> bool:
        return self in (Guard.CONFIG, Guard.FRONTEND, Guard.PAGE)
