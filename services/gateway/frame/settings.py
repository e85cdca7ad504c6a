"""Settings of the HTTP interface."""

import base64
import binascii
import ipaddress
from pathlib import Path
from typing import ClassVar

from pydantic import AliasChoices, Field, SecretStr, field_validator

from shared.settings import Address, SettingsGroup, group_config

EVERYBODY = "*"
ED25519_KEY_BYTES = 32
PUBLISHED_KEY = "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0="  # of samples of cc-backend: everybody has its private half


class GatewaySettings(SettingsGroup):
    """The HTTP interface."""

    section: ClassVar[str] = "gateway"
    model_config = group_config("gateway") | {"populate_by_name": True}

    http: Address = Field("127.0.0.1:8080", description="Address of the API and of /healthz, /readyz and /metrics; port 0 is any free one.")
    jwt_public_key: str = Field(
        "",
        # The second name makes the variable JWT_PUBLIC_KEY of a cc-backend installation work as it is.
        validation_alias=AliasChoices("jobtide_gateway_jwt_public_key", "jwt_public_key"),
        description="Base64 of the 32 bytes of an Ed25519 public key that verifies tokens; several, separated by commas, while keys"
        " are changed. `JWT_PUBLIC_KEY` is read too. Without one every token is refused.",
    )
    jwt_private_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_gateway_jwt_private_key", "jwt_private_key"),
        description="Base64 of the Ed25519 private key (its seed, or seed and public key) that signs tokens issued by `/frontend/jwt/` and"
        " `jobtide token`. `JWT_PRIVATE_KEY` is read too. Without it none is issued.",
    )
    outcome_timeout_s: float = Field(5.0, gt=0, le=60, description="Wait for what became of a published event, seconds; then 503.")
    request_timeout_s: float = Field(60.0, gt=0, le=3600, description="One request from its head to its whole answer, seconds.")
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024, le=1024**3, description="Largest request body, bytes; above it 413.")
    chunk_rows: int = Field(1000, ge=1, le=10_000, description="Rows read at once; longer pages are sent in chunks of this many.")
    allowed_ips: list[str] = Field(
        [],
        description="Addresses or networks that may use `/api` (JSON list), except `/api/events/`, which pages of people follow too;"
        " empty, or `*` first, allows all.",
    )
    machine_state_dir: Path | None = Field(
        None, description="Folder of `/api/machine_state/…`, one JSON file per host; unset: these paths do not exist."
    )
    systemd_unit: str = Field(
        "jobtide-gateway.service", pattern=r"^[A-Za-z0-9@._:-]{1,200}$", description="Unit whose journal `/frontend/logs/` shows."
    )
    trusted_proxies: list[str] = Field(
        [],
        description="Addresses or networks of proxies whose `X-Forwarded-For` or `X-Real-Ip` is believed (JSON list).",
    )
    cors_origins: list[str] = Field(["*"], description="Origins whose pages may use the API (JSON list); `*` is every one, empty none.")

    columns: bool = Field(
        True,
        description="Keep the columns of all jobs that are filtered by in memory; without them the database answers everything, slower.",
    )
    columns_memory_mb: int = Field(
        2048,
        ge=64,
        le=1_048_576,
        description="Most memory for them, MB; a million jobs take about 100, questions some more."
        " When jobs do not fit, the database answers.",
    )
    columns_threads: int = Field(2, ge=1, le=64, description="Threads that one question to them may use, and questions at the same time.")

    live_poll_s: float = Field(
        0.25, ge=0.01, le=60, description="Followers get changes this often, seconds; the database is asked only while there are some."
    )
    live_keepalive_s: float = Field(15.0, ge=0.05, le=600, description="Quiet connections get a sign of life this often, seconds.")
    live_recheck_s: float = Field(60.0, ge=0.05, le=3600, description="How often the sign-in of a follower is checked again, seconds.")
    live_clients: int = Field(1000, ge=1, le=100_000, description="Followers at once; above it 503. One user may have a quarter of them.")
    live_kept: int = Field(
        10_000, ge=1, le=1_000_000, description="Last changes that are kept in memory for all followers; slower ones read the database."
    )

    @field_validator("jwt_public_key")
    @classmethod
    def _keys_are_ed25519(cls, text: str) -> str:
        for key in public_keys(text):
            if len(key) != ED25519_KEY_BYTES:
                raise ValueError(f"a key has {len(key)} bytes instead of {ED25519_KEY_BYTES}")
        if PUBLISHED_KEY in text:
            raise ValueError("a key whose private half was published; make a pair with `jobtide keys`")
        return text

    @field_validator("jwt_private_key")
    @classmethod
    def _private_key_is_ed25519(cls, key: SecretStr) -> SecretStr:
        raw = public_keys(key.get_secret_value())
        if len(raw) > 1 or any(len(part) not in (ED25519_KEY_BYTES, 2 * ED25519_KEY_BYTES) for part in raw):
            raise ValueError(f"one key of {ED25519_KEY_BYTES} or {2 * ED25519_KEY_BYTES} bytes is expected")
        return key

    @field_validator("allowed_ips", "trusted_proxies")
    @classmethod
    def _networks_are_readable(cls, entries: list[str]) -> list[str]:
        for entry in entries:
            if entry != EVERYBODY:
                ipaddress.ip_network(entry, strict=False)
        return entries


def public_keys(text: str) -> list[bytes]:
    """The raw keys of the setting. Raises ValueError."""
    try:
        return [base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part.strip()]
    except binascii.Error as e:
        raise ValueError("not base64") from e
