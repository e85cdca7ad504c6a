"""JSON Web Tokens of the API: verifying and issuing them. Only EdDSA with Ed25519 is accepted."""

import base64
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import jwt
import structlog
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
from services.gateway.people.users.tokens import IssuedToken, TokenStore
from shared.errors import UserError

log = structlog.get_logger()

EDDSA = ("EdDSA",)
_BEARER = "Bearer "
# Ids (jti) of issued tokens. Other issuers with the site's key may use jti for their own purposes.
_ID_PREFIX = "jobtide-"
_ID = re.compile(rf"{_ID_PREFIX}[A-Za-z0-9_-]{{22}}")
_NUMERIC_CLAIMS = ("exp", "nbf")
WALL = "wall"  # claim of the link to a wall screen: the name of its cluster
_MAX_CACHED = 1000  # verified tokens
_MAX_CACHED_CHARACTERS = 4096  # longer ones are verified each time
NOT_BEFORE_LEEWAY_S = 30.0  # clocks of issuers run ahead of ours

Claims = Mapping[str, object]
Key = Ed25519PublicKey | bytes


@dataclass(frozen=True, slots=True)
class TokenRequirements:
    """Required claims of a token; an empty text accepts any value."""

    issuer: str = ""
    audience: str = ""
    expiry: bool = False


def read_token(token: str, keys: Sequence[Key], algorithms: Sequence[str], now: float, expected: TokenRequirements) -> Claims:
    """The claims of a good token. ``nbf`` has a leeway of ``NOT_BEFORE_LEEWAY_S``, ``exp`` has none. Raises RequestError (401)."""
    return _in_force(_signed(token, keys, algorithms), now, expected)


def _in_force(claims: Claims, now: float, expected: TokenRequirements) -> Claims:
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
    if not _is_storable(name):
        raise unauthorized("the subject of the token is not valid Unicode, or contains a null character")
    return claims


def _is_storable(text: str) -> bool:
    """JSON escapes can spell null characters, which PostgreSQL rejects, and lone surrogates, which nothing can encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _signed(token: str, keys: Sequence[Key], algorithms: Sequence[str]) -> Claims:
    if not keys:
        raise unauthorized("no key is configured to verify tokens")
    for key in keys:
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                # ``_in_force`` checks the claims, with the clock and the settings of the gateway.
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
    """The texts in a list without duplicates; empty for anything else."""
    return tuple(dict.fromkeys(text for text in value if isinstance(text, str) and text)) if isinstance(value, list) else ()


def real_name(value: object) -> str:
    """The claim is a text, or an object whose ``values`` are joined."""
    if isinstance(value, dict):
        return " ".join(texts(value.get("values")))
    return value if isinstance(value, str) else ""


class Tokens:
    """Verifies the tokens of requests and issues new ones.

    Issued tokens carry an id (``jti``) and are valid as long as ``api_token`` has their row. Other tokens signed
    with the site's key, such as those of ``jobtide token``, have no row and cannot be revoked one by one.
    """

    def __init__(
        self, public: str, private: str, settings: AuthSettings, users: UserStore, issued: TokenStore, clock: Callable[[], float]
    ) -> None:
        keys = [Ed25519PublicKey.from_public_bytes(key) for key in public_keys(public)]
        # Programs send the same token many times. Only the signature check is cached; times are checked each time.
        self._signed = lru_cache(_MAX_CACHED)(lambda token: _signed(token, keys, EDDSA))
        self._private = private_key(private) if private else None
        self._settings = settings
        self._expected = TokenRequirements(settings.jwt_issuer, settings.jwt_audience, settings.jwt_require_expiry)
        self._users = users
        self._issued = issued
        self._clock = clock

    async def claims(self, token: str) -> Claims:
        """The claims of a token of the API, signed with the site's key and not revoked. Raises RequestError (401), Unavailable."""
        claims = await self._verified(token)
        if WALL in claims:
            raise unauthorized("the token only opens a wall screen")
        return claims

    async def wall(self, token: str) -> str:
        """The cluster of a link to a wall screen. Raises RequestError (401), Unavailable."""
        claims = await self._verified(token)
        cluster, number = claims.get(WALL), claims.get("jti")
        # A link always has a row, so that it can be revoked.
        if not isinstance(cluster, str) or not isinstance(number, str) or not _ID.fullmatch(number):
            raise unauthorized("the token does not open a wall screen")
        return cluster

    async def _verified(self, token: str) -> Claims:
        signed = self._signed(token) if len(token) <= _MAX_CACHED_CHARACTERS else self._signed.__wrapped__(token)
        claims = _in_force(signed, self._clock(), self._expected)
        number = claims.get("jti")
        if isinstance(number, str) and _ID.fullmatch(number) and not await self._issued.is_valid(number):
            raise unauthorized("the token was revoked, or its user was removed or changed")
        return claims

    async def user(self, token: str) -> User:
        """Raises RequestError (401), Unavailable."""
        claims = await self.claims(token)
        name = str(claims["sub"])
        if self._settings.jwt_validate_user:
            account = await self._users.find(name)
            if account is None:
                raise unauthorized("the user of the token is unknown")
            return account.user
        roles = frozenset(texts(claims.get("roles")))
        # Tokens carry no projects of managers; they come from the table.
        known = await self._users.find(name) if MANAGER in roles else None
        return User(name, roles, frozenset(known.projects) if known else frozenset(), real_name(claims.get("name")))

    async def issue(self, account: Account, by: str, *, label: str = "", for_program: bool = False) -> str:
        """Issue a token with the roles of ``account``.

        Raises RequestError (500) without a private key, RuleBroken (see ``TokenStore.add``), Unavailable.
        """
        issued = self._new(account, by, self._settings.jwt_max_age_hours, roles=account.roles, label=label, for_program=for_program)
        return await self._signed_and_stored(issued, account, {"sub": issued.user, "roles": list(issued.roles)})

    async def issue_wall(self, account: Account, cluster: str, *, label: str = "", for_program: bool = False) -> tuple[IssuedToken, str]:
        """Issue the token of a link to the wall screen of ``cluster``, for the admin ``account``. Raises as ``issue``.

        It has no roles, and a subject that is no user.
        """
        hours = self._settings.wall_link_max_age_hours
        issued = self._new(account, account.name, hours, label=label, for_program=for_program, wall=cluster)
        return issued, await self._signed_and_stored(issued, account, {"sub": f"wall screen of {cluster}", "roles": [], WALL: cluster})

    def _new(self, account: Account, by: str, max_age_hours: float, *, roles: tuple[str, ...] = (), **fields: Any) -> IssuedToken:
        now = int(self._clock())
        expires = now + int(max_age_hours * 3600) if max_age_hours else None
        number = _ID_PREFIX + secrets.token_urlsafe(16)
        return IssuedToken(id=number, user=account.name, roles=roles, issued=now, issued_by=by, expires=expires, **fields)

    async def _signed_and_stored(self, issued: IssuedToken, account: Account, claims: dict[str, Any]) -> str:
        if self._private is None:
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "no private key is configured to sign tokens")
        claims |= {"iat": issued.issued, "jti": issued.id}
        if issued.expires is not None:
            claims["exp"] = issued.expires
        if self._settings.jwt_issuer:
            claims["iss"] = self._settings.jwt_issuer
        if self._settings.jwt_audience:
            claims["aud"] = self._settings.jwt_audience
        await self._issued.add(issued, account)
        log.info(
            "token_issued",
            id=issued.id,
            user=issued.user,
            by=issued.issued_by,
            expires=issued.expires,
            for_program=issued.for_program,
            wall=issued.wall,
        )
        return jwt.encode(claims, self._private, algorithm="EdDSA")

    async def listed(self, user: str | None = None) -> list[IssuedToken]:
        """Issued tokens that are still valid, of one user or of all. Raises Unavailable."""
        return await self._issued.all(int(self._clock()), user)

    async def revoke(self, number: str, by: str, user: str | None = None) -> bool:
        """Revoke a token, of ``user`` only where given. False when there is no such token. Raises Unavailable."""
        owner = await self._issued.revoke(number, user) if _ID.fullmatch(number) else None
        if owner is None:
            return False
        log.info("token_revoked", id=number, user=owner, by=by)
        return True


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
