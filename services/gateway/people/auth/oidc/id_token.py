"""Verification of ID tokens (OpenID Connect Core 3.1.3.7). Only algorithms with public keys are accepted."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import OKPAlgorithm

from services.gateway.errors import bad_request
from services.gateway.people.auth.oidc.http import Object, bad_provider
from services.gateway.people.auth.oidc.provider import Key, VerificationKey

MAX_BYTES = 64 * 1024
MAX_ISSUED_S = 24 * 3600.0  # a sign-in takes an hour at most, so its ID token is never older
_KEY_TYPES: dict[str, type[Key]] = {
    "RS256": RSAPublicKey,
    "ES256": EllipticCurvePublicKey,
    "EdDSA": Ed25519PublicKey,
    "Ed25519": Ed25519PublicKey,  # the name that RFC 9864 gives to EdDSA with this curve
}
_JWS = jwt.PyJWS(algorithms=["RS256", "ES256", "EdDSA"])
_JWS.register_algorithm("Ed25519", OKPAlgorithm())


@dataclass(frozen=True, slots=True)
class IdTokenRequirements:
    """The values that a token must have. ``now`` is Unix time."""

    issuer: str
    client_id: str
    nonce: str
    now: float
    leeway_s: float


def head(token: str) -> tuple[str, str | None]:
    """Algorithm and key id of a token that is not verified yet. Raises RequestError (502)."""
    if len(token) > MAX_BYTES:
        raise bad_provider("the ID token is too long")
    try:
        protected = _JWS.get_unverified_header(token.encode("ascii"))
    except (jwt.PyJWTError, ValueError) as e:
        raise bad_provider("the ID token is not a signed token") from e
    algorithm, key_id = protected.get("alg"), protected.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPES:
        raise bad_provider(f"the ID token is signed with {str(algorithm)[:20]!r}")
    if "crit" in protected:
        raise bad_provider("the ID token has critical extensions")
    return algorithm, key_id if isinstance(key_id, str) else None


def verified(token: str, algorithm: str, keys: Sequence[VerificationKey]) -> Object:
    """The claims, if the signature fits one of the keys. Raises RequestError (502)."""
    for key in keys:
        if not _suits(key, algorithm):
            continue
        try:
            payload = _JWS.decode(token.encode("ascii"), key.key, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        try:
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError as e:
            raise bad_provider("the ID token is not JSON") from e
        if not isinstance(claims, dict):
            raise bad_provider("the ID token is not a JSON object")
        return claims
    raise bad_provider("the signature of the ID token fits none of the provider's keys")


def check(claims: Object, expected: IdTokenRequirements) -> str:
    """The subject. Raises RequestError: 400 for another sign-in's token, 502 for all else."""
    if claims.get("iss") != expected.issuer:
        raise bad_provider("the ID token has another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in audiences:
        raise bad_provider("the ID token is for somebody else")
    authorized = claims.get("azp")
    if authorized not in (None, expected.client_id) or (len(audiences) > 1 and authorized is None):
        raise bad_provider("the ID token was made for another client")
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if expires + expected.leeway_s <= expected.now:
        raise bad_provider("the ID token is expired")
    if issued - expected.leeway_s > expected.now or issued + MAX_ISSUED_S < expected.now:
        raise bad_provider("the ID token was issued at another time")
    if "nbf" in claims and _time(claims, "nbf") - expected.leeway_s > expected.now:
        raise bad_provider("the ID token is not valid yet")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise bad_request("the sign-in does not belong to this browser; start again")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise bad_provider("the ID token has no subject")
    return subject


def _suits(key: VerificationKey, algorithm: str) -> bool:
    if key.algorithm and key.algorithm != algorithm and {key.algorithm, algorithm} != {"EdDSA", "Ed25519"}:
        return False
    if isinstance(key.key, EllipticCurvePublicKey) and not isinstance(key.key.curve, SECP256R1):
        return False
    return isinstance(key.key, _KEY_TYPES[algorithm])


def _time(claims: Object, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_provider(f"the ID token has no time {name}")
    return float(value)
