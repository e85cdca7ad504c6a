"""Sign-in by a token, either from a portal that shares a secret with us or in a cookie set by another server of the site."""

from collections.abc import Callable, Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.gateway.errors import unauthorized
from services.gateway.frame.settings import public_keys
from services.gateway.people.auth.login import Attempt, stored
from services.gateway.people.auth.settings import AuthSettings
from services.gateway.people.auth.tokens import EDDSA, Claims, TokenRequirements, Tokens, read_token, real_name, texts
from services.gateway.people.identity import AuthSource, User
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import is_user_name, known_roles, shown_text, usable_projects
from services.gateway.people.users.store import UserStore

HMAC = ("HS256", "HS512")


class Claimed:
    """Turns the claims of a token into a user; settings decide whether the database is read or written."""

    def __init__(self, settings: AuthSettings, users: UserStore) -> None:
        self._settings = settings
        self._users = users

    async def user(self, claims: Claims) -> User:
        """Raises RequestError (401), Unavailable."""
        name = str(claims["sub"])
        if not is_user_name(name):
            raise unauthorized("the subject of the token cannot be the name of a user")
        if self._settings.jwt_validate_user:
            account = await self._users.find(name)
            if account is None:
                raise unauthorized("the user of the token is unknown")
            return account.user
        given = Account(
            name,
            AuthSource.TOKEN,
            known_roles(texts(claims.get("roles"))),
            usable_projects(texts(claims.get("projects"))),
            shown_text(real_name(claims.get("name"))),
        )
        settings = self._settings
        row = await stored(self._users, given, inserts=settings.jwt_sync_user_on_login, updates=settings.jwt_update_user_on_login)
        return row.user if row is not None else given.user


class SharedSecretLogin:
    """A token signed with HS256 or HS512, in ``Authorization`` or ``login-token``. Used only when a secret is configured."""

    def __init__(self, secret: bytes, claimed: Claimed, clock: Callable[[], float], *, expiry: bool) -> None:
        self._secret = secret
        self._expected = TokenRequirements(expiry=expiry)
        self._claimed = claimed
        self._clock = clock

    async def claims(self, attempt: Attempt) -> bool:
        return bool(attempt.token)

    async def login(self, attempt: Attempt) -> User:
        return await self._claimed.user(read_token(attempt.token, [self._secret], HMAC, self._clock(), self._expected))


class CookieTokenLogin:
    """A token in a cookie, signed with EdDSA: by the trusted issuer with its key, or by us."""

    def __init__(self, settings: AuthSettings, tokens: Tokens, claimed: Claimed, clock: Callable[[], float]) -> None:
        self._cookie = settings.jwt_cookie_name
        self._issuer = settings.trusted_issuer
        self._expected = TokenRequirements(issuer=settings.trusted_issuer, expiry=settings.jwt_require_expiry)
        self._own_issuer = settings.jwt_issuer
        self._keys = [Ed25519PublicKey.from_public_bytes(key) for key in public_keys(settings.cross_login_public_key)]
        self._tokens = tokens
        self._claimed = claimed
        self._clock = clock

    async def claims(self, attempt: Attempt) -> bool:
        return bool(self._token(attempt.cookies))

    async def login(self, attempt: Attempt) -> User:
        token = self._token(attempt.cookies)
        issuer = _issuer_of(token)
        if self._issuer and issuer == self._issuer:
            return await self._claimed.user(read_token(token, self._keys, EDDSA, self._clock(), self._expected))
        if issuer is None or (self._own_issuer and issuer == self._own_issuer):
            return await self._claimed.user(await self._tokens.claims(token))
        raise unauthorized("the issuer of the token is not trusted")

    def _token(self, cookies: Mapping[str, str] | None) -> str:
        return (cookies or {}).get(self._cookie, "")


def _issuer_of(token: str) -> object:
    """The issuer of a token that is not verified yet. It only selects the key."""
    try:
        return jwt.decode_complete(token, options={"verify_signature": False})["payload"].get("iss")
    except (jwt.PyJWTError, ValueError, TypeError) as e:
        raise unauthorized("the token cannot be read") from e
