"""Who a JSON Web Token speaks for. Only EdDSA with Ed25519: no other algorithm is even tried."""

import jwt
from aiohttp import hdrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from multidict import CIMultiDictProxy

from services.gateway.errors import unauthorized
from services.gateway.identity import User
from services.gateway.settings import public_keys

TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 - a header's name
_BEARER = "Bearer "
_NUMERIC_CLAIMS = ("exp", "nbf")


class TokenVerifier:
    """Checks tokens against the configured keys; ``exp`` and ``nbf`` are honoured without leeway, ``sub`` is required."""

    def __init__(self, keys: str) -> None:
        self._keys = [Ed25519PublicKey.from_public_bytes(key) for key in public_keys(keys)]

    def user(self, token: str) -> User:
        """Raises RequestError (401)."""
        claims = self._claims(token)
        name = claims.get("sub")
        if not isinstance(name, str) or not name:
            raise unauthorized("the token has no subject ('sub')")
        roles = claims.get("roles")
        return User(name, frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset())

    def _claims(self, token: str) -> dict[str, object]:
        if not self._keys:
            raise unauthorized("no key is configured to verify tokens")
        for key in self._keys:
            try:
                claims: dict[str, object] = jwt.decode(
                    token,
                    key,
                    algorithms=["EdDSA"],
                    # Issue time, issuer and audience are not part of the interface: tokens of cc-backend carry what they like there.
                    options={"verify_iat": False, "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError as e:
                raise unauthorized("the token is expired") from e
            except jwt.ImmatureSignatureError as e:
                raise unauthorized("the token is not valid yet") from e
            except jwt.InvalidAlgorithmError as e:
                raise unauthorized("only tokens signed with EdDSA (Ed25519) are accepted") from e
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as e:
                raise unauthorized("the token cannot be read") from e
            if any(not _is_number(claims[claim]) for claim in _NUMERIC_CLAIMS if claim in claims):
                raise unauthorized("a time in the token is not a number")
            return claims
        raise unauthorized("the signature of the token is wrong")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def token_of(headers: CIMultiDictProxy[str]) -> str:
    """``X-Auth-Token``, else ``Authorization`` with or without ``Bearer``; empty when there is none."""
    return headers.get(TOKEN_HEADER, "") or headers.get(hdrs.AUTHORIZATION, "").removeprefix(_BEARER)
