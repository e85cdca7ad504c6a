"""Ed25519 key pairs and the tokens signed with them, in the format of cc-backend.

Public: base64 of the 32 raw bytes. Private: base64 of 64 bytes, the seed and the public key.
"""

import base64
import binascii
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from cli.embedded.folder import write_whole
from shared.errors import UserError

PRIVATE_KEY_VARIABLES = ("JOBTIDE_GATEWAY_JWT_PRIVATE_KEY", "JWT_PRIVATE_KEY")


@dataclass(frozen=True, slots=True)
class KeyPair:
    public: str
    private: str


def generate() -> KeyPair:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    return KeyPair(base64.b64encode(public).decode(), base64.b64encode(key.private_bytes_raw() + public).decode())


def read_keys(path: Path) -> KeyPair:
    """Raises UserError."""
    try:
        value = orjson.loads(path.read_bytes())
        return KeyPair(str(value["publicKey"]), str(value["privateKey"]))
    except FileNotFoundError as e:
        raise UserError(f"no keys in {path.parent}; `jobtide up --data {path.parent}` creates them") from e
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e
    except (orjson.JSONDecodeError, KeyError, TypeError) as e:
        raise UserError(f"{path} does not hold a key pair") from e


def read_or_make_keys(path: Path) -> KeyPair:
    """The key pair of a data folder. A missing one is generated and written readable by its owner alone."""
    if not path.exists():
        _write_keys(path, generate(), base64.b64encode(secrets.token_bytes(32)).decode())
    return read_keys(path)


def read_or_make_session_key(path: Path) -> str:
    """The key that signs session cookies, in the same file as the pair; base64. Raises UserError."""
    pair = read_or_make_keys(path)
    key = orjson.loads(path.read_bytes()).get("sessionKey")
    if not isinstance(key, str) or not key:
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        _write_keys(path, pair, key)
    return key


def _write_keys(path: Path, pair: KeyPair, session_key: str) -> None:
    """Write the file, readable only by its owner."""
    value = {"publicKey": pair.public, "privateKey": pair.private, "sessionKey": session_key}
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def private_key_of(path: Path | None) -> str:
    """The signing key, from the keys file if one is given, else from the environment. Raises UserError."""
    if path is not None:
        return read_keys(path).private
    for variable in PRIVATE_KEY_VARIABLES:
        if value := os.environ.get(variable):
            return value
    raise UserError(f"no signing key: give --data DIR, or set {PRIVATE_KEY_VARIABLES[0]}")


def sign_token(private: str, user: str, roles: list[str], ttl_s: int | None) -> str:
    """A token for the API; without ``ttl_s`` it never expires. Raises UserError."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        raw = base64.b64decode(private, validate=True)
    except (binascii.Error, ValueError) as e:
        raise UserError("the private key is not base64") from e
    if len(raw) not in (32, 64):
        raise UserError(f"the private key has {len(raw)} bytes instead of 64")
    issued_at = int(time.time())
    claims: dict[str, object] = {"sub": user, "roles": roles, "iat": issued_at}
    if ttl_s is not None:
        claims["exp"] = issued_at + ttl_s
    return jwt.encode(claims, Ed25519PrivateKey.from_private_bytes(raw[:32]), algorithm="EdDSA")
