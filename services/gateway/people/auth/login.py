"""Signing in: the methods are asked in order, and the first that claims an attempt decides it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.gateway.errors import RequestError, unauthorized
from services.gateway.people.identity import User
from services.gateway.people.users.model import Account


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was sent to ``/login`` or ``/jwt-login``; empty where nothing was. ``account`` is the row of ``name``, if there is one.

    ``token`` is that of the header ``Authorization``, else of the query parameter ``login-token``.
    """

    name: str = ""
    password: str = ""
    token: str = ""
    cookies: Mapping[str, str] | None = None
    account: Account | None = None


class LoginMethod(Protocol):
    """One way to sign in. Both methods may wait for others: they bring their own deadlines, and raise Unavailable (503) at them."""

    async def claims(self, attempt: Attempt) -> bool:
        """Whether this method decides the attempt."""
        ...

    async def login(self, attempt: Attempt) -> User:
        """Who it is, with ``source`` set. Raises RequestError (401, see ``login_failed``).

        Of a user with a row of the same source in the database the roles and projects of the row count from the next
        request on; of one without such a row those given here, for as long as the session lasts.
        """
        ...


def login_failed(text: str = "the name or the password is wrong") -> RequestError:
    """One text for wrong names and wrong passwords: nobody learns which names exist."""
    return unauthorized(text)


class LoginChain:
    """In the order: LDAP, token in header or query, token in a cookie, local password."""

    def __init__(self, methods: Sequence[LoginMethod]) -> None:
        self._methods = tuple(methods)

    async def login(self, attempt: Attempt) -> User:
        """Raises RequestError (401), Unavailable."""
        for method in self._methods:
            if await method.claims(attempt):
                return await method.login(attempt)
        raise login_failed("there is no way to sign in with what was sent")
