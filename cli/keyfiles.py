"""Keys in the forms of other programs: PEM files of portals, and the `.env` of cc-backend."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError

SEED_BYTES = 32
MIN_SECRET_BYTES = 32
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LINE = re.compile(r"^\s*(?:export\s+)?(?P<name>(?:ED25519 )?[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*$")


@dataclass(frozen=True, slots=True)
class EnvKey:
    """A variable of cc-backend, and ours for the same key. ``sizes`` are the lengths that its bytes may have; None: at least 32."""

    setting: str
    sizes: tuple[int, ...] | None


# The first two names of a pair are those that gen-keypair prints.
ENV_KEYS: Mapping[str, EnvKey] = {
    "ED25519 PUBLIC_KEY": EnvKey("JOBTIDE_GATEWAY_JWT_PUBLIC_KEY", (SEED_BYTES,)),
    "ED25519 PRIVATE_KEY": EnvKey("JOBTIDE_GATEWAY_JWT_PRIVATE_KEY", (2 * SEED_BYTES,)),
    "JWT_PUBLIC_KEY": EnvKey("JOBTIDE_GATEWAY_JWT_PUBLIC_KEY", (SEED_BYTES,)),
    "JWT_PRIVATE_KEY": EnvKey("JOBTIDE_GATEWAY_JWT_PRIVATE_KEY", (2 * SEED_BYTES,)),
    "CROSS_LOGIN_JWT_PUBLIC_KEY": EnvKey("JOBTIDE_AUTH_CROSS_LOGIN_PUBLIC_KEY", (SEED_BYTES,)),
    "CROSS_LOGIN_JWT_HS512_KEY": EnvKey("JOBTIDE_AUTH_CROSS_LOGIN_HS512_KEY", None),
    "SESSION_KEY": EnvKey("JOBTIDE_AUTH_SESSION_KEY", None),
}


def public_key_of_pem(content: bytes, name: str) -> str:
    """Base64 of the Ed25519 public key in the first PEM block. Raises UserError, which names the kind of key that was found."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    block = _PEM.search(content)
    if block is None:
        raise UserError(f"{name} has no PEM block: -----BEGIN PUBLIC KEY----- is expected")
    label = block[1].decode()
    try:
        der = base64.b64decode(b"".join(block[2].split()), validate=True)
    except (binascii.Error, ValueError) as e:
        raise UserError(f"{name}: the PEM block is not base64") from e
    try:
        key = load_der_public_key(der)
    except Exception as e:
        if "PRIVATE KEY" in label or "CERTIFICATE" in label:
            raise UserError(f"{name} holds a {label.lower()}; the public key is expected") from e
        raise UserError(f"{name} does not hold a public key in the form SubjectPublicKeyInfo") from e
    if not isinstance(key, Ed25519PublicKey):
        kind = type(key).__name__.removeprefix("_").removesuffix("PublicKey")
        size = f" of {key.key_size} bits" if hasattr(key, "key_size") else ""
        raise UserError(f"{name} holds a key of the type {kind}{size}; Ed25519 is expected")
    return base64.b64encode(key.public_bytes_raw()).decode()


def keys_of_env(text: str, name: str) -> dict[str, str]:
    """The keys in lines of cc-backend's `.env` or of gen-keypair, by our variables. Raises UserError, which names the variable."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or (known := ENV_KEYS.get(match["name"])) is None:
            continue
        if value := _unquoted(match["value"]):
            found[known.setting] = _checked(match["name"], value, known, name)
    if not found:
        raise UserError(f"{name} has none of the keys {', '.join(key for key in ENV_KEYS if ' ' not in key)}")
    _require_pair(found, name)
    return found


def _unquoted(value: str) -> str:
    for quote in ('"', "'"):
        if value.startswith(quote):
            return value[1:].partition(quote)[0]
    return value.partition(" #")[0].strip()


def _checked(variable: str, value: str, known: EnvKey, name: str) -> str:
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as e:
        raise UserError(f"{name}: {variable} is not base64") from e
    if known.sizes is None:
        if len(raw) < MIN_SECRET_BYTES:
            raise UserError(f"{name}: {variable} has {len(raw)} bytes; at least {MIN_SECRET_BYTES} are needed, so make a new one")
    elif len(raw) not in known.sizes:
        raise UserError(f"{name}: {variable} has {len(raw)} bytes instead of {known.sizes[0]}")
    return value


def _require_pair(keys: Mapping[str, str], name: str) -> None:
    """Raises UserError when the private key does not belong to the public one, which is what a mixed-up file looks like."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = (keys.get(f"JOBTIDE_GATEWAY_JWT_{half}_KEY") for half in ("PRIVATE", "PUBLIC"))
    if private is None:
        return
    raw = base64.b64decode(private)
    derived = Ed25519PrivateKey.from_private_bytes(raw[:SEED_BYTES]).public_key().public_bytes_raw()
    if derived != raw[SEED_BYTES:]:
        raise UserError(f"{name}: the two halves of JWT_PRIVATE_KEY do not belong together")
    if public is not None and base64.b64decode(public) != derived:
        raise UserError(f"{name}: JWT_PRIVATE_KEY and JWT_PUBLIC_KEY do not belong together")


def read_text(path: Path) -> str:
    """Raises UserError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path} is not UTF-8") from e
