"""Tokens of the HTTP API: Ed25519 signatures only. Source: metrics specification, 2.1."""

import base64
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.types import Options

MAX_KNOWN = 1024
LEEWAY_S = 30.0  # clocks of issuers run ahead of ours
ROLES = frozenset(("api", "admin"))
_BEARER = "Bearer "


class Denied(Exception):
    """The token is refused; the text gives the reason."""


class TokenCheck:
    """Checks the Authorization header. Without a key everybody is admitted."""

    def __init__(self, public_key: str) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)) if public_key else None
        self._known: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def require(self, header: str) -> None:
        """Raises Denied. A token with roles needs ``api`` or ``admin``: tokens of ordinary users may be signed with the same key."""
        if self._key is None:
            return
        if not header.startswith(_BEARER) or len(header) == len(_BEARER):
            raise Denied("Use JWT Authentication")
        claims = self._claims(header.removeprefix(_BEARER), self._key)
        now = time.time()
        if _time(claims, "exp", now + 1) <= now:
            raise Denied("the token is expired")
        if _time(claims, "nbf", now) > now + LEEWAY_S:
            raise Denied("the token is not valid yet")
        if _time(claims, "iat", now) > now + LEEWAY_S:
            raise Denied("the token was issued in the future")
        roles = claims.get("roles")
        if roles is not None and not (isinstance(roles, list) and ROLES.intersection(role for role in roles if isinstance(role, str))):
            raise Denied("the token needs the role api or admin")

    def _claims(self, token: str, key: Ed25519PublicKey) -> Mapping[str, Any]:
        claims = self._known.get(token)
        if claims is None:
            unchecked: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_sub": False}
            try:
                claims = jwt.decode(token, key, algorithms=["EdDSA"], options=unchecked)
            except jwt.InvalidTokenError as e:
                raise Denied(str(e)) from e
            self._known[token] = claims
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return claims


def _time(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Denied(f"the token's {name!r} is not a time")
    return float(value)
