"""Sign-in: methods are tried in order, and the first that claims an attempt decides it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.gateway.errors import RequestError, forbidden, unauthorized
from services.gateway.people.addresses import Origin
from services.gateway.people.identity import User
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import RuleBroken
from services.gateway.people.users.store import UserStore


@dataclass(frozen=True, slots=True)
class Attempt:
    """The fields of a request to ``/login`` or ``/jwt-login``; missing ones are empty. ``account`` is the row of ``name``, if any.

    ``token`` comes from the header ``Authorization``, else from the parameter ``login-token``.
    """

    origin: Origin
    name: str = ""
    password: str = ""
    token: str = ""
    cookies: Mapping[str, str] | None = None
    account: Account | None = None


class LoginMethod(Protocol):
    """One way to sign in. Both methods may wait for other servers, with their own deadlines; then they raise Unavailable (503)."""

    async def claims(self, attempt: Attempt) -> bool:
        """Whether this method decides the attempt."""
        ...

    async def login(self, attempt: Attempt) -> User:
        """The user, with ``source`` set. Raises RequestError (401, see ``login_failed``; 403).

        If a database row with the same source exists, its roles and projects apply from the next request. Otherwise the
        returned ones apply for the whole session.
        """
        ...


def login_failed(text: str = "the name or the password is wrong") -> RequestError:
    """The same text for wrong names and wrong passwords, so that it does not reveal which names exist."""
    return unauthorized(text)


async def stored(users: UserStore, given: Account, *, inserts: bool, updates: bool) -> Account | None:
    """As ``UserStore.sync_at_login``; a name that is too similar to another user's is 403."""
    try:
        return await users.sync_at_login(given, inserts=inserts, updates=updates)
    except RuleBroken as e:
        raise forbidden(str(e)) from e


class LoginChain:
    """Order: LDAP, token in header or query, token in a cookie, local password."""

    def __init__(self, methods: Sequence[LoginMethod]) -> None:
        self._methods = tuple(methods)

    async def login(self, attempt: Attempt) -> User:
        """Raises RequestError (401), Unavailable."""
        for method in self._methods:
            if await method.claims(attempt):
                return await method.login(attempt)
        raise login_failed("the request has no credentials for any configured way to sign in")
