"""JSON Web Tokens: who one speaks for, and making them. Only EdDSA with Ed25519: no other algorithm is even tried."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import jwt
from aiohttp import hdrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from multidict import CIMultiDictProxy

from services.gateway.errors import RequestError, unauthorized
from services.gateway.frame.credentials import TOKEN_HEADER
from services.gateway.frame.settings import ED25519_KEY_BYTES, public_keys
from services.gateway.people.auth.settings import AuthSettings
from services.gateway.people.identity import MANAGER, User
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.errors import UserError

EDDSA = ("EdDSA",)
_BEARER = "Bearer "
_NUMERIC_CLAIMS = ("exp", "nbf")
_MAX_KNOWN, _MAX_KNOWN_CHARACTERS = 1000, 4096  # verified tokens in the cache, and the length of one
NOT_BEFORE_LEEWAY_S = 30.0  # clocks of issuers run ahead of ours

Claims = Mapping[str, object]
Key = Ed25519PublicKey | bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say besides being signed; an empty text is anything."""

    issuer: str = ""
    audience: str = ""
    expiry: bool = False


def read_token(token: str, keys: Sequence[Key], algorithms: Sequence[str], now: float, expected: Expected) -> Claims:
    """The claims of a good token. ``nbf`` has a leeway of ``NOT_BEFORE_LEEWAY_S``, ``exp`` has none. Raises RequestError (401)."""
    return _in_force(_signed(token, keys, algorithms), now, expected)


def _in_force(claims: Claims, now: float, expected: Expected) -> Claims:
    if any(not _is_number(claims[claim]) for claim in _NUMERIC_CLAIMS if claim in claims):
        raise unauthorized("a time in the token is not a number")
    if "exp" in claims and float(str(claims["exp"])) <= now:
        raise unauthorized("the token is expired")
    if "exp" not in claims and expected.expiry:
        raise unauthorized("the token has no expiry ('exp')")
    if "nbf" in claims and float(str(claims["nbf"])) > now + NOT_BEFORE_LEEWAY_S:
        raise unauthorized("the token is not valid yet")
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise unauthorized("the token is from another issuer")
    audience = claims.get("aud")
    if expected.audience and expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise unauthorized("the token is for another audience")
    name = claims.get("sub")
    if not isinstance(name, str) or not name:
        raise unauthorized("the token has no subject ('sub')")
    if not _is_unicode(name):
        raise unauthorized("the subject of the token is not valid Unicode")
    return claims


def _is_unicode(text: str) -> bool:
    """JSON escapes can spell lone surrogates, which neither databases nor answers can encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _signed(token: str, keys: Sequence[Key], algorithms: Sequence[str]) -> Claims:
    if not keys:
        raise unauthorized("no key is configured to verify tokens")
    for key in keys:
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                # Times are compared with the clock of the site; what else is compared is a matter of settings.
                options={f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},  # type: ignore[arg-type]
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidAlgorithmError as e:
            raise unauthorized(f"only tokens signed with {' or '.join(algorithms)} are accepted") from e
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as e:
            raise unauthorized("the token cannot be read") from e
        return claims
    raise unauthorized("the signature of the token is wrong")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list, each once; empty for anything else."""
    return tuple(dict.fromkeys(text for text in value if isinstance(text, str) and text)) if isinstance(value, list) else ()


def real_name(value: object) -> str:
    """A text, or an object whose ``values`` are joined."""
    if isinstance(value, dict):
        return " ".join(texts(value.get("values")))
    return value if isinstance(value, str) else ""


class Tokens:
    """The tokens of requests, and those that the gateway issues."""

    def __init__(self, public: str, private: str, settings: AuthSettings, users: UserStore, clock: Callable[[], float]) -> None:
        keys = [Ed25519PublicKey.from_public_bytes(key) for key in public_keys(public)]
        # A program sends the same token again and again. Only the signature is taken as seen; times are looked at each time.
        self._signed = lru_cache(_MAX_KNOWN)(lambda token: _signed(token, keys, EDDSA))
        self._private = private_key(private) if private else None
        self._settings = settings
        self._expected = Expected(settings.jwt_issuer, settings.jwt_audience, settings.jwt_require_expiry)
        self._users = users
        self._clock = clock

    def claims(self, token: str) -> Claims:
        """Of a token signed with our own key. Raises RequestError (401)."""
        signed = self._signed(token) if len(token) <= _MAX_KNOWN_CHARACTERS else self._signed.__wrapped__(token)
        return _in_force(signed, self._clock(), self._expected)

    async def user(self, token: str) -> User:
        """Raises RequestError (401), Unavailable."""
        claims = self.claims(token)
        name = str(claims["sub"])
        if self._settings.jwt_validate_user:
            account = await self._users.find(name)
            if account is None:
                raise unauthorized("the user of the token is unknown")
            return account.user
        roles = frozenset(texts(claims.get("roles")))
        # A token cannot say which projects a manager supervises; the table can.
        known = await self._users.find(name) if MANAGER in roles else None
        return User(name, roles, frozenset(known.projects) if known else frozenset(), real_name(claims.get("name")))

    def issue(self, account: Account) -> str:
        """Raises RequestError (500) without a private key."""
        if self._private is None:
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "no private key is configured to sign tokens")
        issued_at = int(self._clock())
        claims: dict[str, Any] = {"sub": account.name, "roles": list(account.roles), "iat": issued_at}
        if self._settings.jwt_max_age_hours:
            claims["exp"] = issued_at + int(self._settings.jwt_max_age_hours * 3600)
        if self._settings.jwt_issuer:
            claims["iss"] = self._settings.jwt_issuer
        if self._settings.jwt_audience:
            claims["aud"] = self._settings.jwt_audience
        return jwt.encode(claims, self._private, algorithm="EdDSA")


def private_key(text: str) -> Ed25519PrivateKey:
    """Raises UserError."""
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True)[:ED25519_KEY_BYTES])
    except ValueError as e:
        raise UserError("the private key is not the base64 of an Ed25519 key") from e


def token_of(headers: CIMultiDictProxy[str]) -> str:
    """``X-Auth-Token``, else ``Authorization`` with or without ``Bearer``; empty when there is none."""
    return headers.get(TOKEN_HEADER, "") or bearer(headers)


def bearer(headers: CIMultiDictProxy[str]) -> str:
    return headers.get(hdrs.AUTHORIZATION, "").removeprefix(_BEARER)
