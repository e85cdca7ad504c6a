"""Tokens that the services under test accept."""

import base64

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC_KEY = base64.b64encode(_KEY.public_key().public_bytes_raw()).decode()


def token(*roles: str, user: str = "feeder") -> str:
    return jwt.encode({"sub": user, "roles": list(roles)}, _KEY, algorithm="EdDSA")
