"""Settings of the gateway."""

import base64
import binascii
import ipaddress
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import AliasChoices, Field, field_validator

from services.gateway.metrics.settings import SeriesSettings
from shared.metricdata.settings import MetricsSettings
from shared.settings import Address, ArchiveSettings, DatabaseSettings, NatsSettings, SettingsGroup, group_config, load

ED25519_KEY_BYTES = 32
EVERYBODY = "*"


class GatewaySettings(SettingsGroup):
    """The HTTP interface."""

    section: ClassVar[str] = "gateway"
    other_variables: ClassVar[frozenset[str]] = frozenset({"jwt_private_key"})  # of `jobtide token`
    model_config = group_config("gateway") | {"populate_by_name": True}

    http: Address = Field("127.0.0.1:8080", description="Address of the API and of /healthz, /readyz and /metrics; port 0 is any free one.")
    jwt_public_key: str = Field(
        "",
        # The second name makes the variable JWT_PUBLIC_KEY of a cc-backend installation work as it is.
        validation_alias=AliasChoices("jobtide_gateway_jwt_public_key", "jwt_public_key"),
        description="Base64 of the 32 bytes of an Ed25519 public key that verifies tokens; several, separated by commas, while keys"
        " are changed. `JWT_PUBLIC_KEY` is read too. Without one every token is refused.",
    )
    outcome_timeout_s: float = Field(5.0, gt=0, le=60, description="Wait for what became of a published event, seconds; then 503.")
    request_timeout_s: float = Field(60.0, gt=0, le=3600, description="One request from its head to its whole answer, seconds.")
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024, le=1024**3, description="Largest request body, bytes; above it 413.")
    chunk_rows: int = Field(1000, ge=1, le=10_000, description="Rows read at once; longer pages are sent in chunks of this many.")
    allowed_ips: list[str] = Field(
        [],
        description="Addresses or networks that may use `/api` (JSON list); empty, or `*` first, allows all.",
    )
    trusted_proxies: list[str] = Field(
        [],
        description="Addresses or networks of proxies whose `X-Forwarded-For` or `X-Real-Ip` is believed (JSON list).",
    )
    cors_origins: list[str] = Field(["*"], description="Origins whose pages may use the API (JSON list); `*` is every one, empty none.")

    @field_validator("jwt_public_key")
    @classmethod
    def _keys_are_ed25519(cls, text: str) -> str:
        for key in public_keys(text):
            if len(key) != ED25519_KEY_BYTES:
                raise ValueError(f"a key has {len(key)} bytes instead of {ED25519_KEY_BYTES}")
        return text

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


@dataclass(frozen=True, slots=True)
class Settings:
    nats: NatsSettings
    database: DatabaseSettings
    archive: ArchiveSettings
    gateway: GatewaySettings
    metrics: MetricsSettings = field(default_factory=lambda: MetricsSettings(kind="none"))
    series: SeriesSettings = field(default_factory=SeriesSettings)


def load_settings() -> Settings:
    return Settings(load(NatsSettings), load(DatabaseSettings), load(ArchiveSettings), load(GatewaySettings), load(MetricsSettings), load(SeriesSettings))
