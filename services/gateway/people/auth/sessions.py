"""Sessions: a signed cookie identifies the user; roles are read from the database at each request."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import jwt

from services.gateway.errors import RequestError, forbidden
from services.gateway.people.auth.tokens import real_name, texts
from services.gateway.people.identity import AuthSource, User
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore, of_source

MAX_COOKIE_BYTES = 4000  # browsers drop longer cookies
_ALGORITHM = "HS256"
_PURPOSE = "jobtide:session"  # the audience, so that other tokens signed with the key are not sessions


@dataclass(frozen=True, slots=True)
class Session:
    """``account`` is the row of the user, if there is one."""

    id: str
    expires: int
    user: User
    account: Account | None


class Sessions:
    """A user without a row, from a token or a provider, has the roles signed at the sign-in until there is a row.

    Accounts are matched by name and source, so an OIDC user named like a local admin does not become one.
    """

    def __init__(self, key: bytes, max_age_s: float, users: UserStore, clock: Callable[[], float]) -> None:
        self._key = key
        self.max_age_s = int(max_age_s)
        self._users = users
        self._clock = clock

    async def begin(self, user: User) -> str:
        """The cookie's value. Raises Unavailable; RequestError: 403 for a user without a role, 422 when the projects do not fit."""
        if not user.roles:
            raise forbidden(f"the user {user.name} has no role")
        account = of_source(user.source, await self._users.find(user.name))
        now = int(self._clock())
        claims: dict[str, object] = {
            "aud": _PURPOSE,
            "sub": user.name,
            "source": int(user.source),
            "id": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + self.max_age_s,
        }
        if account is not None:
            claims["row"] = self._fingerprint(account)
        else:
            claims |= {"roles": sorted(user.roles), "projects": sorted(user.projects), "name": user.real_name}
        value = jwt.encode(claims, self._key, algorithm=_ALGORITHM)
        if len(value) > MAX_COOKIE_BYTES:
            raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "the projects of the user do not fit into a session cookie")
        return value

    async def read(self, cookie: str) -> Session | None:
        """None if the cookie is forged, damaged, expired or ended, or its user was removed, has another password, or no role.

        Raises Unavailable.
        """
        claims = self._claims(cookie)
        if claims is None:
            return None
        name, number, expires = str(claims["sub"]), str(claims["id"]), int(str(claims["exp"]))
        found, is_ended = await self._users.in_session(name, number)
        if is_ended:
            return None
        source = AuthSource(int(str(claims["source"])))
        account = of_source(source, found)
        row = claims.get("row")
        if account is None:
            if row is not None:
                return None
            user = User(
                name, frozenset(texts(claims.get("roles"))), frozenset(texts(claims.get("projects"))), real_name(claims.get("name")), source
            )
        elif row is not None and not hmac.compare_digest(str(row), self._fingerprint(account)):
            return None
        else:
            user = account.user
        return Session(number, expires, user, account) if user.roles else None

    async def end(self, session: Session) -> None:
        await self._users.end_session(session.id, session.expires, int(self._clock()))

    def _claims(self, cookie: str) -> dict[str, object] | None:
        try:
            claims: dict[str, object] = jwt.decode(
                cookie,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_PURPOSE,
                options={"require": ["aud", "sub", "source", "id", "exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            expires = int(str(claims["exp"]))
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
        return claims if expires > self._clock() else None

    def _fingerprint(self, account: Account) -> str:
        """A digest of the credentials: a new password or source ends earlier sessions."""
        text = f"{int(account.source)}:{account.password or ''}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]
